// What happens to each row by itself: embedding, norms, activations, 8-bit operands. One block of threads per row.
// Arithmetic as in lm/cpu/kernels.hpp; only the order of sums differs.
#pragma once

#include "lm/cuda/kernels/reductions.hpp"

namespace shoal::lm::cuda {

struct EmbedTask {
  const int* tokens;      ///< by row
  const int* positions;   ///< by row; < 0: a row of padding
  const Bf16* embedding;  ///< [vocabulary, n]
  const Bf16* learned;    ///< [positions, n], or null
  int n;
  float* out;  ///< [rows, n]
};

template <class Block>
SHOAL_DEVICE void embed(Block& block, const EmbedTask& task) {
  const std::int64_t row = block.index();
  const int position = task.positions[row];
  const Bf16* token = task.embedding + static_cast<std::int64_t>(task.tokens[row]) * task.n;
  for (int i = block.thread(); i < task.n; i += block.threads()) {
    float x = position < 0 ? 0.0F : to_float(token[i]);
    if (task.learned != nullptr && position >= 0)
      x += to_float(task.learned[static_cast<std::int64_t>(position) * task.n + i]);
    task.out[row * task.n + i] = x;
  }
}

struct NormTask {
  const float* x;       ///< [rows, n]
  const int* rows;      ///< of x that are wanted, in the order of out; null: all
  const float* weight;  ///< [n]
  const float* bias;    ///< [n] of a LayerNorm; null: RMSNorm
  int n;
  float epsilon;
  Bf16* out;  ///< [wanted rows, n]
};

template <class Block>
SHOAL_DEVICE void normalize(Block& block, const NormTask& task) {
  const auto add = [](float a, float b) { return a + b; };
  auto* scratch = block.template shared<float>(block.threads() / warp_size);
  const std::int64_t from = task.rows == nullptr ? block.index() : task.rows[block.index()];
  const float* x = task.x + from * task.n;
  float mean = 0.0F;
  if (task.bias != nullptr) {
    float total = 0.0F;
    for (int i = block.thread(); i < task.n; i += block.threads()) total += x[i];
    mean = over_block(block, total, scratch, add) / static_cast<float>(task.n);
  }
  float squares = 0.0F;
  for (int i = block.thread(); i < task.n; i += block.threads()) squares += (x[i] - mean) * (x[i] - mean);
  squares = over_block(block, squares, scratch, add);
  const float scale = 1.0F / sqrtf(squares / static_cast<float>(task.n) + task.epsilon);
  Bf16* out = task.out + static_cast<std::int64_t>(block.index()) * task.n;
  for (int i = block.thread(); i < task.n; i += block.threads()) {
    const float y = (x[i] - mean) * scale * task.weight[i];
    out[i] = to_bf16(task.bias == nullptr ? y : y + task.bias[i]);
  }
}

struct ActivationTask {
  const Bf16* up;  ///< [rows, 2 n], gate first, if gated; else [rows, n]
  bool gated;      ///< silu(gate) * up; else gelu in its tanh form
  int n;
  Bf16* out;  ///< [rows, n]
};

template <class Block>
SHOAL_DEVICE void activate(Block& block, const ActivationTask& task) {
  const std::int64_t row = block.index();
  const Bf16* up = task.up + row * (task.gated ? 2 * task.n : task.n);
  for (int i = block.thread(); i < task.n; i += block.threads()) {
    const float x = to_float(up[i]);
    const float u = task.gated ? x : 2.0F * 0.7978845608F * (x + 0.044715F * x * x * x);
    const float y = x / (1.0F + exp2f(-u * log2_e));
    task.out[row * task.n + i] = to_bf16(task.gated ? y * to_float(up[task.n + i]) : y);
  }
}

/// Rows in 8 bits: round(x / scale), scale = max |x| / 127.
struct QuantizeTask {
  const Bf16* x;  ///< [rows, n]
  int n;
  std::int8_t* out;  ///< [rows, n]
  float* scales;     ///< by row
};

template <class Block>
SHOAL_DEVICE void quantize(Block& block, const QuantizeTask& task) {
  auto* scratch = block.template shared<float>(block.threads() / warp_size);
  const std::int64_t row = block.index();
  const Bf16* x = task.x + row * task.n;
  float largest = 0.0F;
  for (int i = block.thread(); i < task.n; i += block.threads()) largest = larger(fabsf(to_float(x[i])), largest);
  largest = over_block(block, largest, scratch, [](float a, float b) { return larger(a, b); });
  const float scale = largest / 127.0F;
  const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  for (int i = block.thread(); i < task.n; i += block.threads())
    task.out[row * task.n + i] = static_cast<std::int8_t>(static_cast<int>(rintf(to_float(x[i]) * inverse)));
  if (block.thread() == 0) task.scales[row] = scale;
}

/// Exact integer sums of a product in 8 bits on their way to numbers.
struct ScaleTask {
  const std::int32_t* sums;    ///< [rows, n]
  const float* row_scales;     ///< by row
  const float* column_scales;  ///< [n]
  const float* bias;           ///< [n], or null
  int n;
  float* add_to;  ///< [rows, n]; or null:
  Bf16* out;      ///< [rows, n]; or null:
  float* logits;  ///< [rows, n]
};

template <class Block>
SHOAL_DEVICE void scale_sums(Block& block, const ScaleTask& task) {
  const std::int64_t row = block.index();
  for (int i = block.thread(); i < task.n; i += block.threads()) {
    const std::int64_t at = row * task.n + i;
    float y = static_cast<float>(task.sums[at]) * (task.column_scales[i] * task.row_scales[row]);
    if (task.bias != nullptr) y += task.bias[i];
    if (task.add_to != nullptr)
      task.add_to[at] += y;
    else if (task.out != nullptr)
      task.out[at] = to_bf16(y);
    else
      task.logits[at] = y;
  }
}

/// Blocks of keys and values that a forked sequence gets copies of. One block of threads per copy.
struct CopyTask {
  const std::byte* const* from;
  std::byte* const* to;
  std::int64_t bytes;  ///< of each, a multiple of 16
};

template <class Block>
SHOAL_DEVICE void copy_block(Block& block, const CopyTask& task) {
  const auto* from = reinterpret_cast<const Sixteen*>(task.from[block.index()]);
  auto* to = reinterpret_cast<Sixteen*>(task.to[block.index()]);
  for (std::int64_t i = block.thread(); i < task.bytes / 16; i += block.threads()) to[i] = from[i];
}

}  // namespace shoal::lm::cuda
