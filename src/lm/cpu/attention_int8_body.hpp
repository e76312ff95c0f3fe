// Attention over keys and values in 8 bits, and how they lie in blocks. Included only by kernels_avx512_vnni.cpp.
//
// Keys, values and queries are first multiplied by a Hadamard matrix of signs, which spreads a few large numbers over
// all of a row, so that they do not take its precision; dot products only grow by the matrix's order. A row has one
// scale, its largest number / 127. Keys lie as [4][head_dim / 16][4 positions][16 dimensions], by 128 more than they
// are; values as [4][head_dim][4 positions]. Queries, and weights times the scales of their values, are 16-bit integers
// of two bytes, so that sums of products are exact in integers.
#pragma once

#include <type_traits>

#include "lm/cpu/attention_body.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int four = 4;  ///< positions that lie together

/// The order of a row's Hadamard matrices: the largest power of two that divides its length.
SHOAL_KERNEL int order_of(int head_dim) { return head_dim & -head_dim; }

template <int distance, class Turn>
SHOAL_KERNEL void spread_lanes(Floats* x, int registers, const Turn& turn) {
  Floats signs;
  for (int i = 0; i < lanes; ++i) signs[i] = (i & distance) != 0 ? -1.0F : 1.0F;
  for (int i = 0; i < registers; ++i)
    x[i] = reinterpret_cast<Floats>(_mm512_fmadd_ps(reinterpret_cast<__m512>(x[i]), reinterpret_cast<__m512>(signs),
                                                    reinterpret_cast<__m512>(turn(x[i]))));
}

/// Multiplies each stretch of order_of(head_dim) numbers by a Hadamard matrix (Sylvester 1867).
SHOAL_KERNEL void spread(Floats* x, int head_dim) {
  const int registers = head_dim / lanes;
  spread_lanes<1>(x, registers, [](Floats v) { return turn_1(v); });
  spread_lanes<2>(x, registers, [](Floats v) { return turn_2(v); });
  spread_lanes<4>(x, registers, [](Floats v) { return turn_4(v); });
  spread_lanes<8>(x, registers, [](Floats v) { return turn_8(v); });
  for (int distance = 1; distance * lanes < order_of(head_dim); distance *= 2)
    for (int i = 0; i < registers; ++i)
      if ((i & distance) == 0) {
        const Floats a = x[i], b = x[i + distance];
        x[i] = a + b;
        x[i + distance] = a - b;
      }
}

/// All lanes joined to one.
template <class Join>
SHOAL_KERNEL std::uint32_t join_lanes(Words x, const Join& join) {
  x = join(x, to_words(turn_8(to_floats(x))));
  x = join(x, to_words(turn_4(to_floats(x))));
  x = join(x, to_words(turn_2(to_floats(x))));
  x = join(x, to_words(turn_1(to_floats(x))));
  return x[0];
}

/// The largest |x|; NaN if one is.
SHOAL_KERNEL float largest_of(const Floats* x, int registers) {
  const auto join = [](Words a, Words b) { return a > b ? a : b; };
  Words largest{};
  for (int i = 0; i < registers; ++i) largest = join(largest, to_words(x[i]) & 0x7FFFFFFFU);
  const std::uint32_t bits = join_lanes(largest, join);
  float found;
  __builtin_memcpy(&found, &bits, sizeof found);
  return found;
}

/// What to multiply by for integers up to @p most; nothing is left of what is too small to divide by.
SHOAL_KERNEL float inverse_of(float largest, float most) { return largest > 1e-30F ? most / largest : 0.0F; }
SHOAL_KERNEL Words to_integers(Floats x) {
  return reinterpret_cast<Words>(_mm512_maskz_cvtps_epi32(0xFFFF, reinterpret_cast<__m512>(x)));
}
SHOAL_KERNEL Floats from_integers(Words x) {
  return reinterpret_cast<Floats>(_mm512_maskz_cvtepi32_ps(0xFFFF, reinterpret_cast<__m512i>(x)));
}
SHOAL_KERNEL __m128i lowest_bytes(Words x) { return _mm512_maskz_cvtepi32_epi8(0xFFFF, reinterpret_cast<__m512i>(x)); }
SHOAL_KERNEL void store_bytes(__m128i bytes, void* to) { __builtin_memcpy(to, &bytes, sizeof bytes); }

/// sum + the products of four unsigned bytes with four signed ones, in every lane.
SHOAL_KERNEL Words add_products(Words sum, Words bytes, Words signed_bytes) {
  return reinterpret_cast<Words>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(bytes),
                                                     reinterpret_cast<__m512i>(signed_bytes)));
}
SHOAL_KERNEL Words load_words(const void* from) {
  Words words;
  load_wide(from, &words);
  return words;
}

/// 16 bytes, four times.
SHOAL_KERNEL Words repeat_16_bytes(const void* from) {
  __m128i bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  return reinterpret_cast<Words>(_mm512_maskz_broadcast_i32x4(0xFFFF, bytes));
}

/// A row of at most @p most numbers, spread.
template <int most>
struct SpreadRow {
  Floats x[most / lanes];
  float largest;

  SHOAL_METHOD SpreadRow(const float* row, int head_dim) {
    for (int i = 0; i < head_dim / lanes; ++i) x[i] = load(row + i * lanes);
    spread(x, head_dim);
    largest = largest_of(x, head_dim / lanes);
  }
  [[nodiscard]] SHOAL_METHOD Words integers(int i, float most_integer) const {
    return to_integers(x[i] * inverse_of(largest, most_integer));
  }
};

template <int fixed_dim>
SHOAL_KERNEL void place_key(const float* key, int head_dim, int slot, std::byte* head) {
  const SpreadRow<(fixed_dim > 0 ? fixed_dim : max_head_dim)> row(key, head_dim);
  reinterpret_cast<float*>(head)[slot] = row.largest / 127.0F;
  Int8* const to = keys_of<Int8>(head, head_dim) + slot / four * four * head_dim + slot % four * lanes;
  for (int i = 0; i < head_dim / lanes; ++i)
    store_bytes(lowest_bytes(row.integers(i, 127.0F) + 128U), to + i * four * lanes);
}

/// Writes no neighbour: another thread may.
template <int fixed_dim>
SHOAL_KERNEL void place_value(const float* value, int head_dim, int slot, std::byte* head) {
  const SpreadRow<(fixed_dim > 0 ? fixed_dim : max_head_dim)> row(value, head_dim);
  reinterpret_cast<float*>(head)[block_positions + slot] = row.largest / 127.0F;
  Int8* const to = values_of<Int8>(head, head_dim) + slot / four * four * head_dim;
  const __mmask64 ours = 0x1111111111111111U << static_cast<unsigned>(slot % four);
  const auto shift = static_cast<std::uint32_t>(slot % four * 8);
  for (int i = 0; i < head_dim / lanes; ++i)
    _mm512_mask_storeu_epi8(to + i * four * lanes, ours, reinterpret_cast<__m512i>(row.integers(i, 127.0F) << shift));
}

void store_int8_key(const float* key, int head_dim, int slot, std::byte* head) {
  if (head_dim == 64) return place_key<64>(key, 64, slot, head);
  if (head_dim == 128) return place_key<128>(key, 128, slot, head);
  return place_key<0>(key, head_dim, slot, head);
}

void store_int8_value(const float* value, int head_dim, int slot, std::byte* head) {
  if (head_dim == 64) return place_value<64>(value, 64, slot, head);
  if (head_dim == 128) return place_value<128>(value, 128, slot, head);
  return place_value<0>(value, head_dim, slot, head);
}

/// Four positions' weights times the scales of their values, in units of the window's, by upper and lower bytes.
struct FourWeights {
  std::uint32_t upper, lower;
};

/// The window's values are summed by the weights' upper bytes and by their lower ones.
template <int most>
struct Query<most, Int8> : QuerySums<most, Words> {
  std::int8_t upper[most], lower[most];  ///< 256 * upper + lower is a dimension, in units of the scale
  std::uint32_t excess;                  ///< of its products, because keys are by 128 more than they are
  FourWeights weights[window / four];
  float unit;

  SHOAL_METHOD void set(const float* values, int head_dim, float scale_of_scores) {
    constexpr float most_integer = 127 * 256 + 127;
    const SpreadRow<most> row(values, head_dim);
    this->scale = scale_of_scores * (row.largest / most_integer) / static_cast<float>(order_of(head_dim));
    Words sum{};
    for (int i = 0; i < head_dim / lanes; ++i) {
      const Words x = row.integers(i, most_integer);
      store_bytes(lowest_bytes((x + 128U) >> 8U), upper + i * lanes);
      store_bytes(lowest_bytes(x), lower + i * lanes);
      sum += x;
    }
    excess = 128 * join_lanes(sum, [](Words a, Words b) { return a + b; });
  }
  SHOAL_METHOD Floats keep_weights(const Stretch<Int8>& at, int i, Floats x) {
    const int p = at.begin + i * lanes;
    if (p >= at.end) return x;
    const Floats scales = load(reinterpret_cast<const float*>(at.head(p)) + block_positions);
    this->scores[i] = select(x == 0.0F, Floats{}, x * scales);  // where nothing was written, a scale may be anything
    return x;
  }
  SHOAL_METHOD void finish_weights(int blocks) {
    const float largest = largest_of(this->scores, blocks);
    const float inverse = inverse_of(largest, 65535.0F);
    unit = largest / 65535.0F;
    for (int i = 0; i < blocks; ++i) {
      const Words x = to_integers(this->scores[i] * inverse);
      const __m128i above = lowest_bytes(x >> 8U), below = lowest_bytes(x);
      FourWeights* const to = weights + i * lanes / four;
      store_bytes(_mm_unpacklo_epi32(above, below), to);
      store_bytes(_mm_unpackhi_epi32(above, below), to + 2);
    }
  }
  [[nodiscard]] SHOAL_METHOD const FourWeights* weights_from(int p) const { return weights + p / four; }
  /// Both sums are below 2^24, and so exact.
  [[nodiscard]] SHOAL_METHOD Floats window_sum(int i) const {
    return (from_integers(this->one[i]) * 256.0F + from_integers(this->other[i])) * unit;
  }
  SHOAL_METHOD void finish_sums(int head_dim) {
    spread(this->sums, head_dim);
    for (int i = 0; i < head_dim / lanes; ++i) this->sums[i] *= 1.0F / static_cast<float>(order_of(head_dim));
  }
};

/// Products of queries with the keys of @p fours times four positions: of each query, 4 partial sums for the first
/// key, for the second, ...
template <int count, int fours, int most>
SHOAL_KERNEL void dot_fours(const Query<most, Int8>* queries, const Int8* keys, int head_dim, Words (*sums)[four]) {
  Words upper[count][fours]{}, lower[count][fours]{};
  for (int d = 0; d < head_dim; d += lanes) {
    Words key[fours];
    for (int i = 0; i < fours; ++i) key[i] = load_words(keys + (i * head_dim + d) * four);
    for (int q = 0; q < count; ++q) {
      const Words above = repeat_16_bytes(queries[q].upper + d), below = repeat_16_bytes(queries[q].lower + d);
      for (int i = 0; i < fours; ++i) {
        upper[q][i] = add_products(upper[q][i], key[i], above);
        lower[q][i] = add_products(lower[q][i], key[i], below);
      }
    }
  }
  for (int q = 0; q < count; ++q)
    for (int i = 0; i < fours; ++i) sums[q][i] = (upper[q][i] << 8U) + lower[q][i];
}

template <int count, int most>
SHOAL_KERNEL void score_block(const Stretch<Int8>& at, int p, int fours, Prefetcher* next,
                              const Query<most, Int8>* queries, Floats* scores) {
  constexpr int most_fours = count > 2 ? 2 : 4;  // whose sums registers can hold
  const Int8* keys = at.keys(p);
  Words sums[count][four];
  int done = 0;
  const auto add = [&]<int fours_at_once>(std::integral_constant<int, fours_at_once>) {
    Words some[count][four];
    dot_fours<count, fours_at_once>(queries, keys + done * four * at.head_dim, at.head_dim, some);
    for (int q = 0; q < count; ++q)
      for (int i = 0; i < fours_at_once; ++i) sums[q][done + i] = some[q][i];
    for (int i = 0; i < fours_at_once; ++i) next->fetch();
    done += fours_at_once;
  };
  while (done + most_fours <= fours) add(std::integral_constant<int, most_fours>());
  while (done < fours) add(std::integral_constant<int, 1>());
  for (; done < four; ++done)
    for (int q = 0; q < count; ++q) sums[q][done] = Words{};
  const Floats scales = load(reinterpret_cast<const float*>(at.head(p)));
  for (int q = 0; q < count; ++q)
    scores[q] = from_integers(sum_partial(sums[q]) - queries[q].excess) * (scales * queries[q].scale);
}

/// Adds one block's weighted values of dimensions [d, d + tile * 16), by upper and lower bytes of the weights; they are
/// 0 where nothing was written.
template <int count, int tile>
SHOAL_KERNEL void add_block_values(const Int8* values, int head_dim, const FourWeights* const* weights, int rows,
                                   Prefetcher* next, Words (*upper)[tile], Words (*lower)[tile]) {
  for (int i = 0; i * four < rows; ++i) {
    for (int t = 0; t < tile; ++t) {
      const Words value = load_words(values + (i * head_dim + t * lanes) * four);
      for (int q = 0; q < count; ++q) {
        upper[q][t] = add_products(upper[q][t], Words{} + weights[q][i].upper, value);
        lower[q][t] = add_products(lower[q][t], Words{} + weights[q][i].lower, value);
      }
    }
    next->fetch();
  }
}

#undef SHOAL_KERNEL
#undef SHOAL_METHOD

template <class T>
constexpr AttentionKernels<T> int8_attention{store_int8_key, store_int8_value, attend<Int8, T>};

}  // namespace
}  // namespace shoal::lm::cpu
