// What happens to each row by itself: embedding, norms, activations, 8-bit operands. One block of threads per row.
// Arithmetic as in lm/cpu/kernels.hpp; only the order of sums differs.
#pragma once

#include "lm/activation.hpp"
#include "lm/cuda/kernels/reductions.hpp"

namespace shoal::lm::cuda {

struct EmbedTask {
  const int* tokens;      ///< by row
  const int* positions;   ///< by row; < 0: a row of padding
  const Bf16* embedding;  ///< [vocabulary, n]
  const Bf16* learned;    ///< [positions, n], or null
  int n;
  float* out;          ///< [rows, n]
  float scale = 1.0F;  ///< of the embedding
};

template <class Block>
SHOAL_DEVICE void embed(Block& block, const EmbedTask& task) {
  const std::int64_t row = block.index();
  const int position = task.positions[row];
  const Bf16* token = task.embedding + static_cast<std::int64_t>(task.tokens[row]) * task.n;
  for (int i = block.thread(); i < task.n; i += block.threads()) {
    float x = position < 0 ? 0.0F : to_float(token[i]) * task.scale;
    if (task.learned != nullptr && position >= 0)
      x += to_float(task.learned[static_cast<std::int64_t>(position) * task.n + i]);
    task.out[row * task.n + i] = x;
  }
}

/// Rows in 8 bits: round(x / scale), scale = max |x| / 127. What makes a product's operand does this too where the
/// product is in 8 bits: its own block of threads has each row at hand.
struct QuantizeTask {
  const Bf16* x;     ///< [rows, n]
  int n;             ///< a multiple of 8
  std::int8_t* out;  ///< [rows, n]
  float* scales;     ///< by row
};

struct alignas(8) EightBytes {
  std::int8_t at[8];
};

template <class Block>
SHOAL_DEVICE void quantize(Block& block, const QuantizeTask& task) {
  auto* scratch = block.template shared<float>(block.threads() / warp_size);
  const std::int64_t row = block.index();
  const Bf16* x = task.x + row * task.n;
  float largest = 0.0F;
  for (int i = block.thread(); i < task.n / 8; i += block.threads()) {
    const Pack<Bf16> some = pack(x, i);
    SHOAL_UNROLL
    for (int j = 0; j < 8; ++j) largest = larger(fabsf(to_float(some.at[j])), largest);
  }
  largest = over_block(block, largest, scratch, [](float a, float b) { return larger(a, b); });
  const float scale = largest / 127.0F;
  const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  for (int i = block.thread(); i < task.n / 8; i += block.threads()) {
    const Pack<Bf16> some = pack(x, i);
    EightBytes out;
    SHOAL_UNROLL
    for (int j = 0; j < 8; ++j)
      out.at[j] = static_cast<std::int8_t>(static_cast<int>(rintf(to_float(some.at[j]) * inverse)));
    reinterpret_cast<EightBytes*>(task.out + row * task.n)[i] = out;
  }
  if (block.thread() == 0) task.scales[row] = scale;
}

/// As the end of what has written the row @p task.x; nothing if there is none.
template <class Block>
SHOAL_DEVICE void then_quantize(Block& block, const QuantizeTask& task) {
  if (task.x == nullptr) return;
  block.sync();
  quantize(block, task);
}

/// What a product has in parts, summed over a part of its inputs each, and what is added to each row of their sum.
struct PartialSums {
  const float* parts;    ///< [count][stride / n rows, n]
  int count;             ///< 0: nothing
  std::int64_t stride;   ///< elements from a part to the next
  const float* bias[2];  ///< [n] each, or null
};

struct NormTask {
  float* x;             ///< [rows, n]; gets the sums, unless only some rows are wanted
  PartialSums sums;     ///< to be added to x before
  const int* rows;      ///< of x that are wanted, in the order of out; null: all
  const float* weight;  ///< [n]
  const float* bias;    ///< [n] of a LayerNorm; null: RMSNorm
  int n;                ///< a multiple of 8
  float epsilon;
  Bf16* out;            ///< [wanted rows, n]
  QuantizeTask then{};  ///< of out
};

/// x and the partial sums, in their order.
SHOAL_DEVICE Pack<float> sum_of_parts(const NormTask& task, std::int64_t row, int i) {
  constexpr int at_once = 4;  // loads under way
  Pack<float> sum = pack(task.x + row * task.n, i);
  for (int first = 0; first < task.sums.count; first += at_once) {
    Pack<float> parts[at_once] = {};
    SHOAL_UNROLL
    for (int p = 0; p < at_once; ++p)
      if (first + p < task.sums.count)
        parts[p] = pack(task.sums.parts + (first + p) * task.sums.stride + row * task.n, i);
    SHOAL_UNROLL
    for (int p = 0; p < at_once; ++p)
      for (int j = 0; j < 4 && first + p < task.sums.count; ++j) sum.at[j] += parts[p].at[j];
  }
  for (const float* bias : task.sums.bias) {
    if (bias == nullptr) continue;
    const Pack<float> more = pack(bias, i);
    SHOAL_UNROLL
    for (int j = 0; j < 4; ++j) sum.at[j] += more.at[j];
  }
  return sum;
}

template <class Block>
SHOAL_DEVICE void normalize(Block& block, const NormTask& task) {
  const auto add = [](float a, float b) { return a + b; };
  auto* scratch = block.template shared<float>(block.threads() / warp_size);
  const std::int64_t row = task.rows == nullptr ? block.index() : task.rows[block.index()];
  const bool keeps = task.sums.count > 0 && task.rows == nullptr;
  const int packs = task.n / 4;
  float total = 0.0F, squares = 0.0F;
  for (int i = block.thread(); i < packs; i += block.threads()) {
    const Pack<float> x = sum_of_parts(task, row, i);
    if (keeps) pack(task.x + row * task.n, i) = x;
    SHOAL_UNROLL
    for (int j = 0; j < 4; ++j) total += x.at[j], squares += x.at[j] * x.at[j];
  }
  const auto again = [&](int i) { return keeps ? pack(task.x + row * task.n, i) : sum_of_parts(task, row, i); };
  float mean = 0.0F;
  if (task.bias != nullptr) {
    mean = over_block(block, total, scratch, add) / static_cast<float>(task.n);
    squares = 0.0F;
    for (int i = block.thread(); i < packs; i += block.threads()) {
      const Pack<float> x = again(i);
      SHOAL_UNROLL
      for (int j = 0; j < 4; ++j) squares += (x.at[j] - mean) * (x.at[j] - mean);
    }
  }
  squares = over_block(block, squares, scratch, add);
  const float scale = 1.0F / sqrtf(squares / static_cast<float>(task.n) + task.epsilon);
  Bf16* out = task.out + static_cast<std::int64_t>(block.index()) * task.n;
  for (int i = block.thread(); i < packs; i += block.threads()) {
    const Pack<float> x = again(i), weight = pack(task.weight, i);
    float y[4];
    SHOAL_UNROLL
    for (int j = 0; j < 4; ++j) y[j] = (x.at[j] - mean) * scale * weight.at[j];
    if (task.bias != nullptr) {
      const Pack<float> bias = pack(task.bias, i);
      SHOAL_UNROLL
      for (int j = 0; j < 4; ++j) y[j] += bias.at[j];
    }
    auto* to = reinterpret_cast<std::uint32_t*>(out) + 2 * i;
    to[0] = pack_bf16(y[0], y[1]);
    to[1] = pack_bf16(y[2], y[3]);
  }
  then_quantize(block, task.then);
}

struct ActivationTask {
  const Bf16* up;  ///< [rows, 2 n], gate first, if it is gated; else [rows, n]
  Activation activation;
  int n;                ///< a multiple of 8
  Bf16* out;            ///< [rows, n]
  QuantizeTask then{};  ///< of out
};

SHOAL_DEVICE float activated(float x, Activation activation) {
  if (activation == Activation::gelu) return 0.5F * x * erfcf(-0.7071067812F * x);
  const float u = activation == Activation::gated_silu ? x : 2.0F * 0.7978845608F * (x + 0.044715F * x * x * x);
  return x / (1.0F + exp2f(-u * log2_e));
}

template <class Block>
SHOAL_DEVICE void activate(Block& block, const ActivationTask& task) {
  const std::int64_t row = block.index();
  const bool gated = is_gated(task.activation);
  const Bf16* up = task.up + row * (gated ? 2 * task.n : task.n);
  for (int i = block.thread(); i < task.n / 8; i += block.threads()) {
    const Pack<Bf16> x = pack(up, i), factor = gated ? pack(up + task.n, i) : x;
    Pack<Bf16> y;
    SHOAL_UNROLL
    for (int j = 0; j < 8; ++j) {
      const float one = activated(to_float(x.at[j]), task.activation);
      y.at[j] = to_bf16(gated ? one * to_float(factor.at[j]) : one);
    }
    pack(task.out + row * task.n, i) = y;
  }
  then_quantize(block, task.then);
}

/// Exact integer sums of a product in 8 bits on their way to numbers.
struct ScaleTask {
  const std::int32_t* sums;    ///< [rows, n]
  const float* row_scales;     ///< by row
  const float* column_scales;  ///< [n]
  const float* bias;           ///< [n], or null
  int n;                       ///< a multiple of 4
  float* add_to;               ///< [rows, n]; or null:
  Bf16* out;                   ///< [rows, n]; or null:
  float* logits;               ///< [rows, n]; may be where the sums are
};

template <class Block>
SHOAL_DEVICE void scale_sums(Block& block, const ScaleTask& task) {
  const std::int64_t row = block.index(), begin = row * task.n;
  for (int i = block.thread(); i < task.n / 4; i += block.threads()) {
    const Pack<std::int32_t> sum = pack(task.sums + begin, i);
    const Pack<float> scale = pack(task.column_scales, i);
    Pack<float> y;
    SHOAL_UNROLL
    for (int j = 0; j < 4; ++j) y.at[j] = static_cast<float>(sum.at[j]) * (scale.at[j] * task.row_scales[row]);
    if (task.bias != nullptr) {
      const Pack<float> bias = pack(task.bias, i);
      SHOAL_UNROLL
      for (int j = 0; j < 4; ++j) y.at[j] += bias.at[j];
    }
    if (task.add_to != nullptr) {
      Pack<float> to = pack(task.add_to + begin, i);
      SHOAL_UNROLL
      for (int j = 0; j < 4; ++j) to.at[j] += y.at[j];
      pack(task.add_to + begin, i) = to;
    } else if (task.out != nullptr) {
      auto* to = reinterpret_cast<std::uint32_t*>(task.out + begin) + 2 * i;
      to[0] = pack_bf16(y.at[0], y.at[1]);
      to[1] = pack_bf16(y.at[2], y.at[3]);
    } else {
      pack(task.logits + begin, i) = y;
    }
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
  constexpr int at_once = 4;  // loads under way
  const auto* from = reinterpret_cast<const Sixteen*>(task.from[block.index()]);
  auto* to = reinterpret_cast<Sixteen*>(task.to[block.index()]);
  const std::int64_t count = task.bytes / 16;
  for (std::int64_t i = block.thread(); i < count; i += at_once * block.threads()) {
    Sixteen some[at_once];
    SHOAL_UNROLL
    for (int j = 0; j < at_once; ++j)
      if (const std::int64_t at = i + j * block.threads(); at < count) some[j] = from[at];
    SHOAL_UNROLL
    for (int j = 0; j < at_once; ++j)
      if (const std::int64_t at = i + j * block.threads(); at < count) to[at] = some[j];
  }
}

}  // namespace shoal::lm::cuda
