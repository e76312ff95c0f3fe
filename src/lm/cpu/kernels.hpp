// The arithmetic of a transformer besides its matrix products, for one row, one head or a few queries at a time: norms,
// rotary positions, activations, attention over key/value blocks. Sixteen fixed lanes and no contraction: the bits
// depend neither on the instruction set, which is chosen at run time, nor on what else is computed. (The product alone
// uses fused multiply-add where there is one.)
#pragma once

#include <cstddef>
#include <cstdint>

#include "lm/number_formats.hpp"

namespace shoal::lm::cpu {

/// Positions per key/value block; block i of a sequence holds positions 16 i .. 16 i + 15.
inline constexpr int block_positions = 16;
inline constexpr int max_head_dim = 256;
/// Queries whose attention is computed together, at most.
inline constexpr int attention_queries = 4;

/// How keys and values are kept: in the type of the products' operands, or as Int8.
enum class KvFormat { as_operands, int8 };

/// A number of a row that is kept in 8 bits, with one scale for all of it.
struct Int8 {
  std::uint8_t bits;
};

/// Where one head's keys and values lie in its part of a block; in bytes, from that part's beginning on.
struct HeadLayout {
  std::size_t row_bytes = 0;  ///< of one position's key or value
  int together = 1;           ///< positions whose values lie together
  std::size_t keys = 0;       ///< before them are the scales of all keys, then of all values, if they have some

  [[nodiscard]] constexpr std::size_t values() const { return keys + block_positions * row_bytes; }
  [[nodiscard]] constexpr std::size_t bytes() const { return values() + block_positions * row_bytes; }
};
/// Kv: float, Bf16 or Int8.
template <class Kv>
constexpr HeadLayout head_layout(int head_dim) {
  return {.row_bytes = static_cast<std::size_t>(head_dim) * sizeof(Kv), .together = 4 / sizeof(Kv)};
}
template <>
constexpr HeadLayout head_layout<Int8>(int head_dim) {
  return {.row_bytes = static_cast<std::size_t>(head_dim), .together = 4, .keys = 2 * block_positions * sizeof(float)};
}

/// What one query sees of its sequence.
struct AttentionQuery {
  const std::byte* const* blocks;
  int first;      ///< position that it sees
  int positions;  ///< of the sequence up to it, more than first
};

/// Queries of a group that see the same of the positions [begin, end).
struct AttentionSegment {
  int query;  ///< first of them
  int queries;
  int begin;
  int end;
};

/// Queries of one key/value head that begin in the same block: several rows', several heads' of one row, or both.
/// Made by AttentionPlan.
struct AttentionGroup {
  AttentionQuery queries[attention_queries];
  int count = 0;
  /// Together all that the queries see; a query's in the order of their positions.
  AttentionSegment segments[2 * attention_queries];
  int segment_count = 0;
  /// Where parts of the blocks begin that the group before does not see; the head's offset comes on top.
  const std::byte* const* pieces = nullptr;
  int piece_count = 0;
};
/// Bytes of a piece.
inline constexpr std::size_t fetched_at_once = 128;
/// Pieces of the next group that are fetched while one is computed; the others follow as it goes on.
inline constexpr int pieces_ahead = 128;

/// One head's queries of a group against the keys and values of their sequences, which HeadLayout places and the
/// kernels order. In bf16 the queries and the softmax's weights are rounded too, as Hugging Face does.
template <class T>
struct AttentionTask {
  const AttentionGroup* group;
  const float* queries[attention_queries];  ///< [head_dim] each
  T* out[attention_queries];                ///< [head_dim] each
  std::size_t offset;                       ///< of the head's part of a block, in bytes
  int head_dim;                             ///< multiple of 16, at most max_head_dim
  float scale;
  float cap = 0.0F;  ///< scores become cap * tanh(score / cap); 0: they stay as they are
};

/// Columns of a panel.
inline constexpr int panel_width = 32;
/// Where a column lies in a panel's rows. In bf16 two lie together, one of each half: a word gives both.
template <class T>
constexpr int panel_place(int column) {
  constexpr int half = panel_width / 2;
  return sizeof(T) == sizeof(float) ? column : column % half * 2 + column / half;
}

/// Some rows times a panel of a matrix, for processors on which no library keeps a row's bits.
template <class T>
struct PanelTask {
  const float* x;  ///< [rows, inputs]
  int rows;
  int inputs;             ///< a multiple of 8
  const T* panel;         ///< [inputs, panel_width], columns by panel_place()
  int outputs;            ///< columns that are wanted, at most panel_width
  float* y;               ///< first of them
  std::ptrdiff_t stride;  ///< between rows of y
};

/// Of a LayerNorm.
struct NormParameters {
  const float* weight;
  const float* bias;
  float epsilon;
};

/// Of keys and values that are kept in one format. T: as in Kernels.
template <class T>
struct AttentionKernels {
  /// One head's key or value of one position, to the head's part of a block.
  void (*store_key)(const float* key, int head_dim, int slot, std::byte* head);
  void (*store_value)(const float* value, int head_dim, int slot, std::byte* head);
  /// Online softmax, one block after the other in position order (Milakov & Gimelshein 2018). A query's bits do not
  /// depend on which others its group has.
  /// @param next what is computed next, fetched from memory meanwhile; null if that is nothing
  void (*attend)(const AttentionTask<T>& task, const AttentionTask<T>* next);
};

/// T: float or Bf16, the type of a product's operand. This attention's keys and values are kept in it, too.
template <class T>
struct Kernels : AttentionKernels<T> {
  /// out = x / sqrt(mean(x^2) + epsilon) * weight; n a multiple of 16 (Zhang & Sennrich 2019).
  void (*rms_norm)(const float* x, const float* weight, int n, float epsilon, T* out);
  /// As rms_norm, in place and in single precision.
  void (*rms_norm_in_place)(float* x, const float* weight, int n, float epsilon);
  /// out = x; n a multiple of 16.
  void (*copy)(const float* x, int n, T* out);
  /// out = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias; n a multiple of 16 (Ba et al. 2016).
  void (*layer_norm)(const float* x, const NormParameters& parameters, int n, T* out);
  /// x[i], x[i + half] rotated by the angle i, as Hugging Face orders them (Su et al. 2021).
  void (*rotate)(float* x, const float* cosines, const float* sines, int half);
  /// out = gate * sigmoid(gate) * up (Shazeer 2020); n a multiple of 16.
  void (*swiglu)(const float* gate, const float* up, int n, T* out);
  /// out = gelu_tanh(gate) * up; n a multiple of 16.
  void (*geglu_tanh)(const float* gate, const float* up, int n, T* out);
  /// out = x / 2 * (1 + erf(x / sqrt(2))) (Hendrycks & Gimpel 2016); n a multiple of 16.
  void (*gelu)(const float* x, int n, T* out);
  /// out = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))); n a multiple of 16.
  void (*gelu_tanh)(const float* x, int n, T* out);
  /// x = cap * tanh(x / cap)
  void (*soft_cap)(float* x, int n, float cap);
  void (*add)(const float* from, int n, float* to);  ///< to += from
  void (*multiply)(const PanelTask<T>& task);
  /// out = round(x / scale) + 128, where scale = max |x| / 127; n a multiple of 16. @return scale
  float (*round_row)(const T* x, int n, std::uint8_t* out);
};

/// For the instruction set in use.
template <class T>
const Kernels<T>& kernels();

/// @param format int8 only if has_vnni()
template <class T>
const AttentionKernels<T>& attention_kernels(KvFormat format);

}  // namespace shoal::lm::cpu
