// Queries and keys normalized and turned by their positions; keys and values put into their blocks.
#pragma once

#include "lm/cuda/kernels/key_value_layout.hpp"
#include "lm/cuda/kernels/reductions.hpp"

namespace shoal::lm::cuda {

/// Cosines and sines of every row's angles, in double precision until they are rounded. One block of threads per row.
struct RotationTask {
  const int* positions;       ///< by row; < 0: a row of padding
  const double* frequencies;  ///< [half]
  int half;
  double factor;   ///< of the cosines and sines
  float* cosines;  ///< [rows, half]
  float* sines;
};

template <class Block>
SHOAL_DEVICE void find_rotations(Block& block, const RotationTask& task) {
  const std::int64_t row = block.index();
  for (int i = block.thread(); i < task.half; i += block.threads()) {
    const double angle = task.positions[row] * task.frequencies[i];
    task.cosines[row * task.half + i] = static_cast<float>(task.factor * cos(angle));
    task.sines[row * task.half + i] = static_cast<float>(task.factor * sin(angle));
  }
}

struct PlaceTask {
  Bf16* query_key_value;  ///< [rows, (heads + 2 kv_heads) * head_dim]; queries are replaced
  const int* positions;   ///< by row; < 0: a row of padding
  const float* cosines;   ///< [rows, half]
  const float* sines;
  int half;                 ///< 0: nothing turns
  const float* query_norm;  ///< [head_dim], or null
  const float* key_norm;
  float epsilon;
  int heads, kv_heads, head_dim;
  std::byte* const* blocks;   ///< tables of all rows, one after the other
  const int* table_begin;     ///< by row
  std::int64_t layer_offset;  ///< of a block's elements
};

/// One head, by one warp: calls put(dimension, value) for each of its dimensions.
template <class Block, class Put>
SHOAL_DEVICE void turn_head(Block& block, const PlaceTask& task, const Bf16* x, const float* norm, const Put& put) {
  const int lane = block.thread() % warp_size;
  float scale = 1.0F;
  if (norm != nullptr) {
    float squares = 0.0F;
    for (int d = lane; d < task.head_dim; d += warp_size) squares += to_float(x[d]) * to_float(x[d]);
    scale = 1.0F / sqrtf(sum_over_warp(block, squares) / static_cast<float>(task.head_dim) + task.epsilon);
  }
  const auto normalized = [&](int d) { return norm == nullptr ? to_float(x[d]) : to_float(x[d]) * scale * norm[d]; };
  const std::int64_t angles = static_cast<std::int64_t>(block.index()) * task.half;
  for (int i = lane; i < task.half; i += warp_size) {
    const float a = normalized(i), b = normalized(i + task.half);
    const float cosine = task.cosines[angles + i], sine = task.sines[angles + i];
    put(i, a * cosine - b * sine);
    put(i + task.half, b * cosine + a * sine);
  }
  for (int d = 2 * task.half + lane; d < task.head_dim; d += warp_size) put(d, normalized(d));
}

/// One block of threads per row, heads dealt out to its warps.
template <class Block>
SHOAL_DEVICE void place_token(Block& block, const PlaceTask& task) {
  const int position = task.positions[block.index()];
  if (position < 0) return;
  const int row_size = (task.heads + 2 * task.kv_heads) * task.head_dim;
  Bf16* row = task.query_key_value + static_cast<std::int64_t>(block.index()) * row_size;
  auto* kept = reinterpret_cast<Bf16*>(task.blocks[task.table_begin[block.index()] + position / block_positions]) +
               task.layer_offset;
  const int slot = position % block_positions;
  for (int h = block.thread() / warp_size; h < task.heads + task.kv_heads; h += block.threads() / warp_size) {
    Bf16* head = row + h * task.head_dim;
    if (h < task.heads) {
      turn_head(block, task, head, task.query_norm, [&](int d, float x) { head[d] = to_bf16(x); });
      continue;
    }
    Bf16* keys = kept + (h - task.heads) * head_elements(task.head_dim);
    turn_head(block, task, head, task.key_norm, [&](int d, float x) { keys[key_offset(slot, d)] = to_bf16(x); });
    Bf16* values = keys + block_positions * task.head_dim;
    const Bf16* value = head + task.kv_heads * task.head_dim;
    for (int d = block.thread() % warp_size; d < task.head_dim; d += warp_size)
      values[value_offset(slot, d)] = value[d];
  }
}

}  // namespace shoal::lm::cuda
