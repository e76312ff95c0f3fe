// Attention over blocks of keys and values, with shared prefixes read once.
//
// The positions of a sequence are cut into windows of 256, at absolute positions. An item is one window of rows whose
// blocks there are the same ones, so that they are read once for all of them; the query heads that share a key/value
// head are rows too. A block of 4 warps takes an item's rows 16 at a time; each warp the same 64 of the window's
// positions. What a row gets of a window does not depend on the other rows of the item, and a row's windows are merged
// in their order: its bits are the same whoever shares its blocks (lm/cuda/attention_plan.hpp makes the items).
#pragma once

#include "lm/cuda/kernels/key_value_layout.hpp"
#include "lm/cuda/kernels/reductions.hpp"

namespace shoal::lm::cuda {

inline constexpr int window_positions = 256;
inline constexpr int attention_warps = 4;
inline constexpr int warp_positions = window_positions / attention_warps;
inline constexpr int tile_rows = 16;

struct AttentionItem {
  int window;
  int first;  ///< of its rows in AttentionTask::item_rows
  int rows;
  int table;  ///< first entry of the table of the row that reaches furthest
  int end;    ///< positions that this row has
};

struct AttentionTask {
  const Bf16* query_key_value;  ///< [rows, (heads + 2 kv_heads) * head_dim]
  const int* positions;         ///< by row
  std::byte* const* blocks;     ///< tables
  const AttentionItem* items;
  const int* item_count;
  const int* item_rows;
  const int* slots;           ///< by row: where the results of its windows begin
  std::int64_t layer_offset;  ///< of a block's elements
  int heads, kv_heads, head_dim;
  int sight;    ///< positions that a token sees, itself included
  float scale;  ///< of scores, times log2(e)
  float* tops;  ///< [slots, heads]: largest score
  float* sums;  ///< [slots, heads]: of 2^(score - top)
  float* outs;  ///< [slots, heads, head_dim]: values by these weights
};

/// Floats of shared memory.
constexpr int attention_scratch_floats(int head_dim) { return attention_warps * tile_rows * (head_dim + 2); }

/// A row of the tile: one query head of one of the item's rows.
struct TileRow {
  int row = -1;  ///< none
  int head = 0;
  int begin = 0, end = 0;  ///< positions that it sees
};

SHOAL_DEVICE TileRow tile_row(const AttentionTask& task, const AttentionItem& item, int kv_head, int index) {
  const int group = task.heads / task.kv_heads;
  if (index >= item.rows * group) return {};
  const int row = task.item_rows[item.first + index / group];
  const int end = task.positions[row] + 1;
  return {row, kv_head * group + index % group, end > task.sight ? end - task.sight : 0, end};
}

/// Two neighbouring elements of a query, 0 for no row.
SHOAL_DEVICE std::uint32_t query_pair(const AttentionTask& task, const TileRow& row, int d) {
  if (row.row < 0) return 0;
  const std::int64_t at = static_cast<std::int64_t>(row.row) * (task.heads + 2 * task.kv_heads) + row.head;
  return *reinterpret_cast<const std::uint32_t*>(task.query_key_value + at * task.head_dim + d);
}

/// Scores of the warp's 64 positions: [16 positions each][half of them][mma's 4], in mma's order.
struct Scores {
  float s[warp_positions / block_positions][2][4];
};

/// @p chunks: the most that head_dim / 16 can be
template <int chunks, class Block>
SHOAL_DEVICE void score(Block& block, const AttentionTask& task, const AttentionItem& item, std::int64_t head_offset,
                        const TileRow (&rows)[2], Scores* scores) {
  const int lane = block.thread() % warp_size;
  const int begin = item.window * window_positions + block.thread() / warp_size * warp_positions;
  std::uint32_t query[chunks][4];
  SHOAL_UNROLL
  for (int c = 0; c < chunks; ++c) {
    if (c * 16 >= task.head_dim) break;
    const int d = c * 16 + lane % 4 * 2;
    query[c][0] = query_pair(task, rows[0], d);
    query[c][1] = query_pair(task, rows[1], d);
    query[c][2] = query_pair(task, rows[0], d + 8);
    query[c][3] = query_pair(task, rows[1], d + 8);
  }
  SHOAL_UNROLL
  for (int b = 0; b < warp_positions / block_positions; ++b) {
    const int first = begin + b * block_positions;
    float(&s)[2][4] = scores->s[b];
    SHOAL_UNROLL
    for (int i = 0; i < 8; ++i) s[i / 4][i % 4] = 0.0F;
    if (first < item.end) {
      const auto* keys = reinterpret_cast<const Bf16*>(task.blocks[item.table + first / block_positions]) + head_offset;
      SHOAL_UNROLL
      for (int c = 0; c < chunks; ++c) {
        if (c * 16 >= task.head_dim) break;
        const Sixteen k = *reinterpret_cast<const Sixteen*>(keys + c * 256 + lane * 8);
        block.mma(s[0], query[c], k.words[0], k.words[1]);
        block.mma(s[1], query[c], k.words[2], k.words[3]);
      }
    }
    SHOAL_UNROLL
    for (int i = 0; i < 8; ++i) {
      const TileRow& row = rows[i % 4 / 2];
      const int position = first + i / 4 * 8 + lane % 4 * 2 + i % 2;
      if (position < row.begin || position >= row.end) s[i / 4][i % 4] = minus_infinity();
    }
  }
}

/// Scores become weights relative to the row's largest; for both rows of the thread.
template <class Block>
SHOAL_DEVICE void weigh(Block& block, float scale, Scores* scores, float (&top)[2], float (&sum)[2]) {
  SHOAL_UNROLL
  for (int r = 0; r < 2; ++r) {
    top[r] = minus_infinity();
    sum[r] = 0.0F;
    SHOAL_UNROLL
    for (auto& s : scores->s) SHOAL_UNROLL
    for (int i = 0; i < 4; ++i) top[r] = larger(top[r], s[i / 2][2 * r + i % 2]);
    for (int distance = 1; distance < 4; distance *= 2) top[r] = larger(top[r], block.shuffle_xor(top[r], distance));
    SHOAL_UNROLL
    for (auto& s : scores->s) SHOAL_UNROLL
    for (int i = 0; i < 4; ++i) {
      float& x = s[i / 2][2 * r + i % 2];
      x = x == minus_infinity() ? 0.0F : exp2f((x - top[r]) * scale);
      sum[r] += x;
    }
    for (int distance = 1; distance < 4; distance *= 2) sum[r] += block.shuffle_xor(sum[r], distance);
  }
}

template <int chunks, class Block>
SHOAL_DEVICE void add_values(Block& block, const AttentionTask& task, const AttentionItem& item,
                             std::int64_t head_offset, const Scores& weights, float (&out)[chunks][2][4]) {
  const int lane = block.thread() % warp_size;
  const int begin = item.window * window_positions + block.thread() / warp_size * warp_positions;
  SHOAL_UNROLL
  for (int b = 0; b < warp_positions / block_positions; ++b) {
    const int first = begin + b * block_positions;
    if (first >= item.end) continue;
    const float(&w)[2][4] = weights.s[b];
    const std::uint32_t p[4] = {pack_bf16(w[0][0], w[0][1]), pack_bf16(w[0][2], w[0][3]), pack_bf16(w[1][0], w[1][1]),
                                pack_bf16(w[1][2], w[1][3])};
    const auto* values = reinterpret_cast<const Bf16*>(task.blocks[item.table + first / block_positions]) +
                         head_offset + block_positions * task.head_dim;
    SHOAL_UNROLL
    for (int c = 0; c < chunks; ++c) {
      if (c * 16 >= task.head_dim) break;
      const Sixteen v = *reinterpret_cast<const Sixteen*>(values + c * 256 + lane * 8);
      block.mma(out[c][0], p, v.words[0], v.words[1]);
      block.mma(out[c][1], p, v.words[2], v.words[3]);
    }
  }
}

/// What the warps found in their 64 positions, merged in their order into the window's result.
template <int chunks, class Block>
SHOAL_DEVICE void merge_warps(Block& block, const AttentionTask& task, const AttentionItem& item, int kv_head, int tile,
                              const float (&top)[2], const float (&sum)[2], const float (&out)[chunks][2][4]) {
  const int warp = block.thread() / warp_size, lane = block.thread() % warp_size;
  auto* tops = block.template shared<float>(attention_scratch_floats(task.head_dim));  // [warps, 16]
  float* sums = tops + attention_warps * tile_rows;
  float* outs = sums + attention_warps * tile_rows;  // [warps, 16, head_dim]
  SHOAL_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int at = warp * tile_rows + lane / 4 + 8 * r;
    if (lane % 4 == 0) tops[at] = top[r], sums[at] = sum[r];
    SHOAL_UNROLL
    for (int c = 0; c < chunks; ++c) {
      if (c * 16 >= task.head_dim) break;
      SHOAL_UNROLL
      for (int i = 0; i < 4; ++i)
        outs[at * task.head_dim + c * 16 + i / 2 * 8 + lane % 4 * 2 + i % 2] = out[c][i / 2][2 * r + i % 2];
    }
  }
  block.sync();
  for (int i = block.thread(); i < tile_rows * task.head_dim; i += block.threads()) {
    const int index = i / task.head_dim, d = i % task.head_dim;
    const TileRow row = tile_row(task, item, kv_head, tile * tile_rows + index);
    if (row.row < 0) continue;
    float all_top = tops[index], all_sum = 0.0F, all_out = 0.0F;
    for (int w = 1; w < attention_warps; ++w) all_top = larger(all_top, tops[w * tile_rows + index]);
    for (int w = 0; w < attention_warps; ++w) {
      const int at = w * tile_rows + index;
      const float share = tops[at] == minus_infinity() ? 0.0F : exp2f((tops[at] - all_top) * task.scale);
      all_sum += share * sums[at];
      all_out += share * outs[at * task.head_dim + d];
    }
    const std::int64_t slot = static_cast<std::int64_t>(task.slots[row.row] + item.window) * task.heads + row.head;
    task.outs[slot * task.head_dim + d] = all_out;
    if (d == 0) task.tops[slot] = all_top, task.sums[slot] = all_sum;
  }
  block.sync();
}

/// Any number of blocks of attention_warps warps; they deal out the items and key/value heads.
template <int chunks, class Block>
SHOAL_DEVICE void attend(Block& block, const AttentionTask& task) {
  const int group = task.heads / task.kv_heads;
  const int lane = block.thread() % warp_size;
  for (int work = block.index(); work < *task.item_count * task.kv_heads; work += block.blocks()) {
    const AttentionItem item = task.items[work / task.kv_heads];
    const int kv_head = work % task.kv_heads;
    const std::int64_t head_offset = task.layer_offset + kv_head * head_elements(task.head_dim);
    for (int tile = 0; tile * tile_rows < item.rows * group; ++tile) {
      const TileRow rows[2] = {tile_row(task, item, kv_head, tile * tile_rows + lane / 4),
                               tile_row(task, item, kv_head, tile * tile_rows + lane / 4 + 8)};
      Scores scores;
      float top[2], sum[2], out[chunks][2][4] = {};
      score<chunks>(block, task, item, head_offset, rows, &scores);
      weigh(block, task.scale, &scores, top, sum);
      add_values<chunks>(block, task, item, head_offset, scores, out);
      merge_warps<chunks>(block, task, item, kv_head, tile, top, sum, out);
    }
  }
}

struct MergeTask {
  const int* positions;  ///< by row; < 0: a row of padding
  const int* slots;      ///< as in AttentionTask
  int heads, head_dim, sight;
  float scale;
  const float* tops;
  const float* sums;
  const float* outs;
  Bf16* out;  ///< [rows, heads * head_dim]
};

/// A row's windows, in their order. One block of threads per row, heads dealt out to its warps.
template <class Block>
SHOAL_DEVICE void merge_windows(Block& block, const MergeTask& task) {
  const int end = task.positions[block.index()] + 1;
  const int first = (end > task.sight ? end - task.sight : 0) / window_positions;
  const int last = (end - 1) / window_positions;
  for (int h = block.thread() / warp_size; h < task.heads; h += block.threads() / warp_size) {
    const std::int64_t slot = static_cast<std::int64_t>(end > 0 ? task.slots[block.index()] : 0) * task.heads + h;
    float top = minus_infinity(), sum = 0.0F;
    for (int w = first; w <= last && end > 0; ++w) top = larger(top, task.tops[slot + w * task.heads]);
    for (int w = first; w <= last && end > 0; ++w)
      sum += exp2f((task.tops[slot + w * task.heads] - top) * task.scale) * task.sums[slot + w * task.heads];
    for (int d = block.thread() % warp_size; d < task.head_dim; d += warp_size) {
      float total = 0.0F;
      for (int w = first; w <= last && end > 0; ++w) {
        const std::int64_t at = slot + static_cast<std::int64_t>(w) * task.heads;
        total += exp2f((task.tops[at] - top) * task.scale) * task.outs[at * task.head_dim + d];
      }
      const std::int64_t to = (static_cast<std::int64_t>(block.index()) * task.heads + h) * task.head_dim + d;
      task.out[to] = to_bf16(end > 0 ? total / sum : 0.0F);
    }
  }
}

}  // namespace shoal::lm::cuda
