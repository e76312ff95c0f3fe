// Attention over blocks of keys and values, with shared prefixes read once.
//
// The positions of a sequence are cut into windows of 64, at absolute positions. An item is one window of rows whose
// blocks there are the same ones, so that they are read once for all of them; the query heads that share a key/value
// head are rows too. A block of 4 warps takes an item's rows 16 at a time; each warp the same 16 of the window's
// positions. What a row gets of a window does not depend on the other rows of the item, and a row's windows are merged
// in their order: its bits are the same whoever shares its blocks (lm/cuda/attention_plan.hpp makes the items).
#pragma once

#include "lm/cuda/kernels/key_value_layout.hpp"
#include "lm/cuda/kernels/reductions.hpp"
#include "lm/cuda/kernels/rows.hpp"

namespace shoal::lm::cuda {

inline constexpr int attention_warps = 4;
inline constexpr int window_positions = attention_warps * block_positions;
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

/// A warp's 16 positions of an item's window, for one key/value head.
struct WarpBlock {
  int first;           ///< position
  bool is_there;       ///< whether the item has any of them
  const Bf16* keys;    ///< in the order of mma's operands
  const Bf16* values;  ///<
};

template <class Block>
SHOAL_DEVICE WarpBlock warp_block(Block& block, const AttentionTask& task, const AttentionItem& item, int kv_head) {
  const int first = item.window * window_positions + block.thread() / warp_size * block_positions;
  if (first >= item.end) return {first, false, nullptr, nullptr};
  const Bf16* keys = reinterpret_cast<const Bf16*>(task.blocks[item.table + first / block_positions]) +
                     task.layer_offset + kv_head * head_elements(task.head_dim);
  return {first, true, keys, keys + block_positions * task.head_dim};
}

/// The thread's share of keys or values. @p chunks: the most that head_dim / 16 can be
template <int chunks, class Block>
SHOAL_DEVICE void load(Block& block, const AttentionTask& task, const WarpBlock& positions, const Bf16* from,
                       Sixteen (&to)[chunks]) {
  SHOAL_UNROLL
  for (int c = 0; c < chunks; ++c) {
    if (c * 16 >= task.head_dim || !positions.is_there) break;
    to[c] = *reinterpret_cast<const Sixteen*>(from + c * 256 + block.thread() % warp_size * 8);
  }
}

/// Scores of the warp's positions, in mma's order: [half of the positions][mma's 4].
template <int chunks, class Block>
SHOAL_DEVICE void score(Block& block, const AttentionTask& task, const WarpBlock& positions,
                        const Sixteen (&keys)[chunks], const TileRow (&rows)[2], float (&s)[2][4]) {
  const int lane = block.thread() % warp_size;
  SHOAL_UNROLL
  for (int i = 0; i < 8; ++i) s[i / 4][i % 4] = 0.0F;
  SHOAL_UNROLL
  for (int c = 0; c < chunks; ++c) {
    if (c * 16 >= task.head_dim || !positions.is_there) break;
    const int d = c * 16 + lane % 4 * 2;
    const std::uint32_t query[4] = {query_pair(task, rows[0], d), query_pair(task, rows[1], d),
                                    query_pair(task, rows[0], d + 8), query_pair(task, rows[1], d + 8)};
    block.mma(s[0], query, keys[c].words[0], keys[c].words[1]);
    block.mma(s[1], query, keys[c].words[2], keys[c].words[3]);
  }
  SHOAL_UNROLL
  for (int i = 0; i < 8; ++i) {
    const TileRow& row = rows[i % 4 / 2];
    const int position = positions.first + i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (position < row.begin || position >= row.end) s[i / 4][i % 4] = minus_infinity();
  }
}

/// Scores become weights relative to the row's largest; for both rows of the thread.
template <class Block>
SHOAL_DEVICE void weigh(Block& block, float scale, float (&s)[2][4], float (&top)[2], float (&sum)[2]) {
  SHOAL_UNROLL
  for (int r = 0; r < 2; ++r) {
    top[r] = minus_infinity();
    sum[r] = 0.0F;
    SHOAL_UNROLL
    for (int i = 0; i < 4; ++i) top[r] = larger(top[r], s[i / 2][2 * r + i % 2]);
    for (int distance = 1; distance < 4; distance *= 2) top[r] = larger(top[r], block.shuffle_xor(top[r], distance));
    SHOAL_UNROLL
    for (int i = 0; i < 4; ++i) {
      float& x = s[i / 2][2 * r + i % 2];
      x = x == minus_infinity() ? 0.0F : exp2f((x - top[r]) * scale);
      sum[r] += x;
    }
    for (int distance = 1; distance < 4; distance *= 2) sum[r] += block.shuffle_xor(sum[r], distance);
  }
}

template <int chunks, class Block>
SHOAL_DEVICE void add_values(Block& block, const AttentionTask& task, const WarpBlock& positions,
                             const Sixteen (&values)[chunks], const float (&w)[2][4], float (&out)[chunks][2][4]) {
  const std::uint32_t p[4] = {pack_bf16(w[0][0], w[0][1]), pack_bf16(w[0][2], w[0][3]), pack_bf16(w[1][0], w[1][1]),
                              pack_bf16(w[1][2], w[1][3])};
  SHOAL_UNROLL
  for (int c = 0; c < chunks; ++c) {
    if (c * 16 >= task.head_dim || !positions.is_there) break;
    block.mma(out[c][0], p, values[c].words[0], values[c].words[1]);
    block.mma(out[c][1], p, values[c].words[2], values[c].words[3]);
  }
}

/// What the warps found in their positions, merged in their order into the window's result.
template <int chunks, class Block>
SHOAL_DEVICE void merge_warps(Block& block, const AttentionTask& task, const AttentionItem& item, int kv_head, int tile,
                              const TileRow (&mine)[2], const float (&top)[2], const float (&sum)[2],
                              const float (&out)[chunks][2][4]) {
  const int warp = block.thread() / warp_size, lane = block.thread() % warp_size;
  auto* tops = block.template shared<float>(attention_scratch_floats(task.head_dim));  // [warps, 16]
  float* sums = tops + attention_warps * tile_rows;
  float* outs = sums + attention_warps * tile_rows;  // [warps, 16, head_dim]
  SHOAL_UNROLL
  for (int r = 0; r < 2; ++r) {
    if (mine[r].row < 0) continue;
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
  const int rows = smaller(tile_rows, item.rows * (task.heads / task.kv_heads) - tile * tile_rows);
  for (int i = block.thread(); i < rows * task.head_dim; i += block.threads()) {
    const int index = i / task.head_dim, d = i % task.head_dim;
    const TileRow row = tile_row(task, item, kv_head, tile * tile_rows + index);
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
    const WarpBlock positions = warp_block(block, task, item, kv_head);
    Sixteen keys[chunks], values[chunks];  // all loads under way before the first is used
    load(block, task, positions, positions.keys, keys);
    load(block, task, positions, positions.values, values);
    for (int tile = 0; tile * tile_rows < item.rows * group; ++tile) {
      const TileRow rows[2] = {tile_row(task, item, kv_head, tile * tile_rows + lane / 4),
                               tile_row(task, item, kv_head, tile * tile_rows + lane / 4 + 8)};
      float scores[2][4], top[2], sum[2], out[chunks][2][4] = {};
      score(block, task, positions, keys, rows, scores);
      weigh(block, task.scale, scores, top, sum);
      add_values(block, task, positions, values, scores, out);
      merge_warps<chunks>(block, task, item, kv_head, tile, rows, top, sum, out);
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
  Bf16* out;            ///< [rows, heads * head_dim]
  QuantizeTask then{};  ///< of out
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
  then_quantize(block, task.then);
}

}  // namespace shoal::lm::cuda
