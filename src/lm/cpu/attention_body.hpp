// Attention of a few queries over key/value blocks, and how keys and values lie in these if they are of the products'
// type. Included only by the kernels' other bodies; attention_int8_body.hpp adds a format.
#pragma once

#include "lm/cpu/kernels.hpp"
#include "lm/cpu/vectors_body.hpp"

namespace shoal::lm::cpu {
namespace {

/// Positions whose scores are kept before their values are added: a fixed size, so that a row's bits do not depend on
/// how long it is.
constexpr int window = 512;

/// What is computed at once: as much as registers can hold. Queries whose products with the same keys and values are,
/// the keys of them, and vectors of their weighted values.
#ifdef __AVX512F__
constexpr int queries_at_once = 4;
constexpr int keys_at_once(int /*queries*/) { return 4; }
constexpr int value_tile(int queries) { return queries > 2 ? 2 : 4; }
#else
constexpr int queries_at_once = 2;
constexpr int keys_at_once(int queries) { return 4 / queries; }
constexpr int value_tile(int queries) { return 2 / queries; }
#endif

SHOAL_KERNEL Mask first_lanes(int count) {
  constexpr float index[lanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(index) < static_cast<float>(count);
}
SHOAL_KERNEL Floats keep_first(Floats x, int count) { return select(first_lanes(count), x, Floats{} - infinity); }
SHOAL_KERNEL Floats drop_first(Floats x, int count) { return select(first_lanes(count), Floats{} - infinity, x); }

// Keys lie as [16][head_dim], and so do values in single precision. In bf16 the values of two neighbours lie together,
// as [8][head_dim][2]: the processor's dot products want pairs. A product of two bf16 is exact in single precision, so
// that a dot product has the same bits with and without such instructions.

template <class Kv>
SHOAL_KERNEL Kv* keys_of(std::byte* head, int head_dim) {
  return reinterpret_cast<Kv*>(head + head_layout<Kv>(head_dim).keys);
}
template <class Kv>
SHOAL_KERNEL Kv* values_of(std::byte* head, int head_dim) {
  return reinterpret_cast<Kv*>(head + head_layout<Kv>(head_dim).values());
}

template <class T>
void store_key(const float* key, int head_dim, int slot, std::byte* head) {
  T* const to = keys_of<T>(head, head_dim) + slot * head_dim;
  for (int d = 0; d < head_dim; d += lanes) store(load(key + d), to + d);
}

SHOAL_KERNEL void place_value(const float* value, int head_dim, int slot, float* values) {
  __builtin_memcpy(values + slot * head_dim, value, sizeof(float) * static_cast<std::size_t>(head_dim));
}
/// Writes no neighbour: another thread may.
SHOAL_KERNEL void place_value(const float* value, int head_dim, int slot, Bf16* values) {
  Bf16* pairs = values + slot / 2 * 2 * head_dim;
  for (int d = 0; d < head_dim; d += lanes) {
    Bf16 row[lanes];
    store(load(value + d), row);
#ifdef __AVX512BW__
    const Words words = widen(row) << (slot % 2 * 16);
    _mm512_mask_storeu_epi16(pairs + 2 * d, slot % 2 == 0 ? 0x55555555U : 0xAAAAAAAAU,
                             reinterpret_cast<__m512i>(words));
#else
    for (int i = 0; i < lanes; ++i) pairs[2 * (d + i) + slot % 2] = row[i];
#endif
  }
}

template <class T>
void store_value(const float* value, int head_dim, int slot, std::byte* head) {
  place_value(value, head_dim, slot, values_of<T>(head, head_dim));
}

struct Pairs {
  Words words;  ///< each an odd element above an even one
};
SHOAL_KERNEL Pairs load_pairs(const Bf16* from) {
  Pairs pairs;
  load_wide(from, &pairs.words);
  return pairs;
}
/// One pair, 16 times.
SHOAL_KERNEL Pairs repeat_pair(const Bf16* from) {
  std::uint32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return {Words{} + pair};
}
/// sum + odd a * odd b + even a * even b, in this order.
SHOAL_KERNEL Floats add_products(Floats sum, Pairs a, Pairs b) {
#ifdef __AVX512BF16__
  return reinterpret_cast<Floats>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(a.words),
                                                   reinterpret_cast<__m512bh>(b.words)));
#else
  const Words odd = Words{} + 0xFFFF0000U;
  sum += to_floats(a.words & odd) * to_floats(b.words & odd);
  return sum + to_floats(a.words << 16U) * to_floats(b.words << 16U);
#endif
}

SHOAL_KERNEL Floats add_products(Floats sum, Floats a, Floats b) { return sum + a * b; }

/// As many operands of products as fill a register.
SHOAL_KERNEL Floats load_operands(const float* from) { return load(from); }
SHOAL_KERNEL Pairs load_operands(const Bf16* from) { return load_pairs(from); }
/// Half as many, then zeros.
SHOAL_KERNEL Pairs load_half(const Bf16* from) {
#ifdef __AVX512F__  // GCC 12 takes the general form through memory
  return {reinterpret_cast<Words>(_mm512_maskz_loadu_epi32(0xFF, from))};
#else
  Pairs pairs{};
  __builtin_memcpy(&pairs, from, sizeof(Bf16) * lanes);
  return pairs;
#endif
}

SHOAL_KERNEL int smaller(int a, int b) { return a < b ? a : b; }

/// Brings what the group before did not see from memory to the caches, some lines now and then, always a little ahead,
/// so that memory is busy all the time: a task's first pieces come while the task before is computed. (Without, a row
/// of 100 positions waits for half of its time.)
class Prefetcher {
 public:
  template <class T>
  SHOAL_METHOD Prefetcher(const AttentionTask<T>& task, const AttentionTask<T>* next) {
    const int ahead = smaller(pieces_ahead, task.group->piece_count);
    now_ = {task.group->pieces + ahead, task.group->pieces + task.group->piece_count, task.offset};
    int count = task.group->piece_count - ahead;
    if (next != nullptr) {
      const int first = smaller(pieces_ahead, next->group->piece_count);
      then_ = {next->group->pieces, next->group->pieces + first, next->offset};
      count += first;
      for (int q = 0; q < next->group->count; ++q)
        for (int d = 0; d < next->head_dim; d += lanes) __builtin_prefetch(next->queries[q] + d);
    }
    rate_ = static_cast<int>(std::int64_t{count} * one / calls(task)) + 1;
  }
  SHOAL_METHOD void fetch() {
    for (due_ += rate_; due_ >= one; due_ -= one) {
      if (now_.begin == now_.end) {
        if (then_.begin == then_.end) return;
        now_ = then_;
        then_.begin = then_.end;
      }
      const std::byte* const from = *now_.begin++ + now_.offset;
      for (std::size_t at = 0; at < fetched_at_once; at += 64) __builtin_prefetch(from + at);
    }
  }

 private:
  struct Pieces {
    const std::byte* const* begin = nullptr;
    const std::byte* const* end = nullptr;
    std::size_t offset = 0;
  };
  static constexpr int one = 256;

  /// How often fetch() is going to be called, about.
  template <class T>
  static SHOAL_METHOD int calls(const AttentionTask<T>& task) {
    const AttentionGroup& group = *task.group;
    int count = 1;
    for (int i = 0; i < group.segment_count; ++i) {
      const AttentionSegment& segment = group.segments[i];
      const int passes = 1 + task.head_dim / (value_tile(smaller(segment.queries, queries_at_once)) * lanes);
      count += (segment.end - segment.begin + 3) / 4 * passes;
    }
    for (int q = 0; q < group.count; ++q)
      count += (group.queries[q].positions - group.segments[0].begin) / (2 * lanes) + 4;
    return count;
  }

  Pieces now_, then_;
  int rate_ = 0;  ///< pieces per call, in 1 / one
  int due_ = 0;
};

/// Some queries of a group and what of their sequences they see together: positions [begin, end).
template <class Kv>
struct Stretch {
  const AttentionQuery* queries;
  std::size_t offset;
  int head_dim;
  int begin;
  int end;

  /// The head's part of the block that holds @p position.
  [[nodiscard]] SHOAL_METHOD const std::byte* head(int position) const {
    return queries->blocks[position / lanes] + offset;
  }
  [[nodiscard]] SHOAL_METHOD const Kv* keys(int position) const {
    return reinterpret_cast<const Kv*>(head(position) + head_layout<Kv>(head_dim).keys);
  }
  [[nodiscard]] SHOAL_METHOD const Kv* values(int position) const {
    return reinterpret_cast<const Kv*>(head(position) + head_layout<Kv>(head_dim).values());
  }
};

/// As store(), for numbers that are not denormal.
SHOAL_KERNEL void store_normal(Floats x, float* to) { store(x, to); }
SHOAL_KERNEL void store_normal(Floats x, Bf16* to) {
#ifdef __AVX512BF16__
  const auto halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(x));
  __builtin_memcpy(static_cast<void*>(to), &halves, sizeof halves);
#else
  store(x, to);
#endif
}

/// What there is of one query while its keys and values are visited, in any format: Sum is what products with values
/// add up in.
template <int most, class Sum>
struct QuerySums {
  using WindowSum = Sum;
  Floats scores[window / lanes];  ///< of the window
  Sum one[most / lanes];          ///< of the window's values, in two parts
  Sum other[most / lanes];
  Floats sums[most / lanes];
  Floats totals;
  float top;
  float scale;       ///< of the scores
  Floats unused[4];  ///< lest queries lie 4 KiB apart: the processor takes such addresses for the same at first
};

/// Keys and values of the products' type. The window's values are summed in even and odd positions, apart for speed.
template <int most, class Kv>
struct Query : QuerySums<most, Floats> {
  Kv query[most];
  Kv weights[window];

  SHOAL_METHOD void set(const float* values, int head_dim, float scale_of_scores) {
    for (int d = 0; d < head_dim; d += lanes) store(load(values + d), query + d);
    this->scale = scale_of_scores;
  }
  /// Of the window's block @p i. @return what counts for the total
  SHOAL_METHOD Floats keep_weights(const Stretch<Kv>& /*at*/, int i, Floats x) {
    store_normal(x, weights + i * lanes);
    return load(weights + i * lanes);
  }
  SHOAL_METHOD void finish_weights(int /*blocks*/) {}
  /// Of the window's position @p p and those that follow.
  [[nodiscard]] SHOAL_METHOD const Kv* weights_from(int p) const { return weights + p; }
  [[nodiscard]] SHOAL_METHOD Floats window_sum(int i) const { return this->one[i] + this->other[i]; }
  SHOAL_METHOD void finish_sums(int /*head_dim*/) {}
};

/// Products of queries with 4 positions' keys: of each query, 4 partial sums for the first key, for the second, ...
/// @param partial every fourth is written
template <int count, int most, class T>
SHOAL_KERNEL void dot_4_keys(const Query<most, T>* queries, const T* keys, int head_dim, Floats* partial) {
  constexpr int width = sizeof(Floats) / sizeof(T), keys_abreast = keys_at_once(count);
  Floats s[count][4]{};
#pragma GCC unroll 4
  for (int first = 0; first < 4; first += keys_abreast) {
    int d = 0;
    for (; d + width <= head_dim; d += width)
      for (int i = first; i < first + keys_abreast; ++i) {
        const auto key = load_operands(keys + i * head_dim + d);
        for (int q = 0; q < count; ++q) s[q][i] = add_products(s[q][i], load_operands(queries[q].query + d), key);
      }
    if constexpr (width > lanes)
      if (d < head_dim)
        for (int i = first; i < first + keys_abreast; ++i) {
          const auto key = load_half(keys + i * head_dim + d);
          for (int q = 0; q < count; ++q) s[q][i] = add_products(s[q][i], load_half(queries[q].query + d), key);
        }
  }
  const auto fold = [](Floats a, Floats b) {
    return shuffle<0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23>(a, b) +
           shuffle<8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31>(a, b);
  };
  for (int q = 0; q < count; ++q) {
    const Floats a = fold(s[q][0], s[q][1]);
    const Floats b = fold(s[q][2], s[q][3]);
    partial[4 * q] = shuffle<0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27>(a, b) +
                     shuffle<4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31>(a, b);
  }
}

/// Sums of 4 times 4 keys' partial sums; each in the order of sum().
template <class Vector>
SHOAL_KERNEL Vector sum_partial(const Vector* s) {
  const auto fold = [](Vector a, Vector b) {
    return shuffle<0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29>(a, b) +
           shuffle<2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31>(a, b);
  };
  const Vector a = fold(s[0], s[1]);
  const Vector b = fold(s[2], s[3]);
  const Vector sums = shuffle<0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30>(a, b) +
                      shuffle<1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31>(a, b);
  return shuffle<0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15>(sums, sums);
}

/// Of the block that begins at position @p p; those of positions beyond the first 4 * @p fours may be anything.
template <int count, int most, class Kv>
SHOAL_KERNEL void score_block(const Stretch<Kv>& at, int p, int fours, Prefetcher* next, const Query<most, Kv>* queries,
                              Floats* scores) {
  const Kv* keys = at.keys(p);
  Floats partial[count * 4];
  if (fours < 4)
    for (Floats& sums : partial) sums = Floats{};
  for (int k = 0; k < fours; ++k) {
    dot_4_keys<count>(queries, keys + 4 * k * at.head_dim, at.head_dim, partial + k);
    next->fetch();
  }
  for (int q = 0; q < count; ++q) scores[q] = sum_partial(partial + 4 * q) * queries[q].scale;
}

/// Scores of the stretch's positions.
/// @param window_begin position of the queries' first score
template <int count, int most, class Kv>
SHOAL_KERNEL void score(const Stretch<Kv>& at, int window_begin, Prefetcher* next, Query<most, Kv>* queries) {
  for (int p = at.begin; p < at.end; p += lanes) {
    Floats scores[count];
    score_block<count>(at, p, (smaller(lanes, at.end - p) + 3) / 4, next, queries, scores);
    for (int q = 0; q < count; ++q) {
      if (at.end - p < lanes) scores[q] = keep_first(scores[q], at.end - p);
      if (p < at.queries[q].first) scores[q] = drop_first(scores[q], at.queries[q].first - p);
      queries[q].scores[(p - window_begin) / lanes] = scores[q];
    }
  }
}

template <int most, class Kv>
SHOAL_KERNEL void cap_scores(float cap, int blocks, Query<most, Kv>* query) {
  for (int i = 0; i < blocks; ++i) {
    const Floats x = query->scores[i];
    query->scores[i] = select(x > Floats{} - infinity, capped(x, cap), x);
  }
}

/// Turns the scores of a window, all that @p at holds, into weights, those of two blocks at a time: one's arithmetic
/// waits for itself.
template <int most, class Kv>
SHOAL_KERNEL void weigh(const Stretch<Kv>& at, Prefetcher* next, Query<most, Kv>* query) {
  const int blocks = (at.end - at.begin + lanes - 1) / lanes;
  Floats tops = Floats{} - infinity;
  for (int i = 0; i < blocks; ++i) tops = larger(query->scores[i], tops);
  const float found = maximum(tops);
  const float top = found > query->top ? found : query->top;
  const float shrink = query->top < top - 80.0F ? 0.0F : first(exponential(Floats{} + (query->top - top)));
  query->top = top;
  Floats totals = query->totals * shrink;
  if (blocks % 2 != 0) query->scores[blocks] = Floats{} - infinity;
  for (int i = 0; i < blocks; i += 2) {
    Floats weights[2] = {query->scores[i] - top, query->scores[i + 1] - top};
    exponential_in_range(weights);
    for (int j = 0; j < 2; ++j)
      totals += query->keep_weights(at, i + j, select(query->scores[i + j] < top - 80.0F, Floats{}, weights[j]));
    next->fetch();
  }
  query->totals = totals;
  query->finish_weights(blocks);
  for (int d = 0; d < at.head_dim / lanes; ++d) {
    query->sums[d] *= shrink;
    query->one[d] = query->other[d] = typename Query<most, Kv>::WindowSum{};
  }
}

/// Adds one block's @p rows weighted values of dimensions [d, d + tile * 16); even and odd ones apart, for speed.
template <int count, int tile>
SHOAL_KERNEL void add_block_values(const float* values, int head_dim, const float* const* weights, int rows,
                                   Prefetcher* next, Floats (*even)[tile], Floats (*odd)[tile]) {
  const auto add = [&](int j, Floats(*sums)[tile]) {
    for (int t = 0; t < tile; ++t) {
      const Floats value = load(values + j * head_dim + t * lanes);
      for (int q = 0; q < count; ++q) sums[q][t] += weights[q][j] * value;
    }
  };
  for (int j = 0; j + 1 < rows; j += 2) {
    add(j, even);
    add(j + 1, odd);
    if (j % 4 == 0) next->fetch();
  }
  if (rows % 2 != 0) add(rows - 1, even);
}
template <int count, int tile>
SHOAL_KERNEL void add_block_values(const Bf16* values, int head_dim, const Bf16* const* weights, int rows,
                                   Prefetcher* next, Floats (*even)[tile], Floats (*odd)[tile]) {
  const auto add = [&](int j, Words mask, Floats(*sums)[tile]) {
    Pairs weight[count];
    for (int q = 0; q < count; ++q) weight[q] = repeat_pair(weights[q] + j);
    for (int t = 0; t < tile; ++t) {
      Pairs pair = load_pairs(values + j * head_dim + 2 * t * lanes);
      pair.words &= mask;
      for (int q = 0; q < count; ++q) sums[q][t] = add_products(sums[q][t], weight[q], pair);
    }
  };
  int j = 0;
  for (; j + 3 < rows; j += 4) {
    add(j, Words{} + 0xFFFFFFFFU, even);
    add(j + 2, Words{} + 0xFFFFFFFFU, odd);
    next->fetch();
  }
  for (; j + 1 < rows; j += 2) add(j, Words{} + 0xFFFFFFFFU, even);
  if (j < rows) add(j, Words{} + 0xFFFFU, even);  // nothing was written to the pair's other half
}

/// Adds the stretch's weighted values of dimensions [d, d + tile * 16).
template <int count, int tile, int most, class Kv>
SHOAL_KERNEL void add_values(const Stretch<Kv>& at, int window_begin, int d, Prefetcher* next,
                             Query<most, Kv>* queries) {
  using Sum = typename Query<most, Kv>::WindowSum;
  Sum one[count][tile], other[count][tile];
  for (int q = 0; q < count; ++q)
    for (int t = 0; t < tile; ++t) {
      one[q][t] = queries[q].one[d / lanes + t];
      other[q][t] = queries[q].other[d / lanes + t];
    }
  for (int p = at.begin; p < at.end; p += lanes) {
    decltype(queries->weights_from(p)) weights[count];
    for (int q = 0; q < count; ++q) weights[q] = queries[q].weights_from(p - window_begin);
    const Kv* values = at.values(p) + head_layout<Kv>(at.head_dim).together * d;
    add_block_values<count, tile>(values, at.head_dim, weights, smaller(lanes, at.end - p), next, one, other);
  }
  for (int q = 0; q < count; ++q)
    for (int t = 0; t < tile; ++t) {
      queries[q].one[d / lanes + t] = one[q][t];
      queries[q].other[d / lanes + t] = other[q][t];
    }
}

template <int count, int most, class Kv>
SHOAL_KERNEL void add_all_values(const Stretch<Kv>& at, int window_begin, Prefetcher* next, Query<most, Kv>* queries) {
  if (at.begin >= at.end) return;
  constexpr int tile = value_tile(count);
  int d = 0;
  for (; d + tile * lanes <= at.head_dim; d += tile * lanes)
    add_values<count, tile>(at, window_begin, d, next, queries);
  for (; d < at.head_dim; d += lanes) add_values<count, 1>(at, window_begin, d, next, queries);
}

/// A group's attention, window after window; blocks that lie wholly before the first position seen are left out.
/// @tparam fixed_dim the head dimension, if it is to be compiled in @tparam Kv format of keys and values
template <int fixed_dim, class Kv, class T>
class GroupAttention {
 public:
  SHOAL_METHOD GroupAttention(const AttentionTask<T>& task, const AttentionTask<T>* next)
      : task_(task), group_(*task.group), next_(task, next) {
    for (int q = 0; q < group_.count; ++q) {
      queries_[q].set(task.queries[q], head_dim(), task.scale);
      for (int d = 0; d < head_dim(); d += lanes) queries_[q].sums[d / lanes] = Floats{};
      queries_[q].totals = Floats{};
      queries_[q].top = -infinity;
      next_.fetch();
      next_.fetch();
    }
  }

  SHOAL_METHOD void add_window(int begin) {
    for (int i = 0; i < group_.segment_count; ++i) score_some<queries_at_once>(group_.segments[i], begin);
    for (int q = 0; q < group_.count; ++q)
      if (const int positions = group_.queries[q].positions; positions > begin) {
        const auto seen = stretch(q, begin, smaller(positions, begin + window));
        if (task_.cap > 0.0F) cap_scores(task_.cap, (seen.end - seen.begin + lanes - 1) / lanes, queries_ + q);
        weigh(seen, &next_, queries_ + q);
      }
    for (int i = 0; i < group_.segment_count; ++i) add_some<queries_at_once>(group_.segments[i], begin);
    for (int q = 0; q < group_.count; ++q)
      if (group_.queries[q].positions > begin)
        for (int d = 0; d < head_dim() / lanes; ++d) queries_[q].sums[d] += queries_[q].window_sum(d);
  }

  SHOAL_METHOD void finish() {
    for (int q = 0; q < group_.count; ++q) {
      next_.fetch();
      queries_[q].finish_sums(head_dim());
      const float total = sum(queries_[q].totals);
      for (int d = 0; d < head_dim() / lanes; ++d) store(queries_[q].sums[d] / total, task_.out[q] + d * lanes);
    }
  }

 private:
  [[nodiscard]] SHOAL_METHOD int head_dim() const { return fixed_dim > 0 ? fixed_dim : task_.head_dim; }
  [[nodiscard]] SHOAL_METHOD Stretch<Kv> stretch(int query, int begin, int end) const {
    return {group_.queries + query, task_.offset, head_dim(), begin, end};
  }
  /// What of a segment lies in a window; may be nothing.
  [[nodiscard]] SHOAL_METHOD Stretch<Kv> stretch(const AttentionSegment& segment, int query, int begin) const {
    return stretch(query, segment.begin > begin ? segment.begin : begin, smaller(segment.end, begin + window));
  }
  /// A segment's queries, @p count at once, and fewer of those that are left.
  template <int count>
  SHOAL_METHOD void score_some(const AttentionSegment& segment, int begin, int done = 0) {
    for (; done + count <= segment.queries; done += count) {
      const int query = segment.query + done;
      score<count>(stretch(segment, query, begin), begin, &next_, queries_ + query);
    }
    if constexpr (count > 1) score_some<count / 2>(segment, begin, done);
  }
  template <int count>
  SHOAL_METHOD void add_some(const AttentionSegment& segment, int begin, int done = 0) {
    for (; done + count <= segment.queries; done += count) {
      const int query = segment.query + done;
      add_all_values<count>(stretch(segment, query, begin), begin, &next_, queries_ + query);
    }
    if constexpr (count > 1) add_some<count / 2>(segment, begin, done);
  }

  const AttentionTask<T>& task_;
  const AttentionGroup& group_;
  Prefetcher next_;
  Query<(fixed_dim > 0 ? fixed_dim : max_head_dim), Kv> queries_[attention_queries];
};

template <int fixed_dim, class Kv, class T>
SHOAL_KERNEL void attend_group(const AttentionTask<T>& task, const AttentionTask<T>* next) {
  GroupAttention<fixed_dim, Kv, T> attention(task, next);
  const AttentionGroup& group = *task.group;
  int positions = 0;
  for (int q = 0; q < group.count; ++q)
    if (group.queries[q].positions > positions) positions = group.queries[q].positions;
  for (int begin = group.segments[0].begin; begin < positions; begin += window) attention.add_window(begin);
  attention.finish();
}

template <class Kv, class T>
void attend(const AttentionTask<T>& task, const AttentionTask<T>* next) {
  if (task.head_dim == 64) return attend_group<64, Kv>(task, next);
  if (task.head_dim == 128) return attend_group<128, Kv>(task, next);
  return attend_group<0, Kv>(task, next);
}

}  // namespace
}  // namespace shoal::lm::cpu
