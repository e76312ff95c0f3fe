// The kernels' one source, compiled once per instruction set. Included only by kernels_*.cpp, each inside a namespace
// of its own; calls nothing that another translation unit could share.
#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <cstdint>
#include <limits>

#include "lm/cpu/kernels.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int lanes = 16;
using Floats = float __attribute__((vector_size(4 * lanes)));
using Words = std::uint32_t __attribute__((vector_size(4 * lanes)));
using Halves = std::uint16_t __attribute__((vector_size(2 * lanes)));
using Bytes = std::uint8_t __attribute__((vector_size(lanes)));

constexpr float infinity = std::numeric_limits<float>::infinity();

#define SHOAL_KERNEL static inline __attribute__((always_inline))
#define SHOAL_METHOD inline __attribute__((always_inline))

SHOAL_KERNEL float load_one(const float* from) { return *from; }
SHOAL_KERNEL float load_one(const Bf16* from) {
  const std::uint32_t word = static_cast<std::uint32_t>(from->bits) << 16U;
  float x;
  __builtin_memcpy(&x, &word, sizeof x);
  return x;
}

SHOAL_KERNEL Floats load(const float* from) {
  Floats x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

SHOAL_KERNEL Floats load(const Bf16* from) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof halves);
#ifdef __AVX512F__  // GCC 12 makes two conversions and an insertion of the general form
  return reinterpret_cast<Floats>(
      reinterpret_cast<Words>(_mm512_maskz_cvtepu16_epi32(0xFFFF, reinterpret_cast<__m256i>(halves))) << 16U);
#else
  return reinterpret_cast<Floats>(__builtin_convertvector(halves, Words) << 16U);
#endif
}

SHOAL_KERNEL void store(Floats x, float* to) { __builtin_memcpy(to, &x, sizeof x); }

/// As Bf16::from_float.
SHOAL_KERNEL void store(Floats x, Bf16* to) {
  const Words wide = reinterpret_cast<Words>(x);
  const Words rounded = (wide + 0x7FFFU + (wide >> 16U & 1U)) >> 16U;
  const Words kept = x == x ? rounded : wide >> 16U | 0x40U;
  const Halves halves = __builtin_convertvector(kept, Halves);
  __builtin_memcpy(static_cast<void*>(to), &halves, sizeof halves);
}

/// b if one is NaN
SHOAL_KERNEL Floats larger(Floats a, Floats b) {
#ifdef __AVX512F__
  return _mm512_maskz_max_ps(0xFFFF, a, b);
#else
  return a > b ? a : b;
#endif
}
SHOAL_KERNEL Floats smaller(Floats a, Floats b) {
#ifdef __AVX512F__
  return _mm512_maskz_min_ps(0xFFFF, a, b);
#else
  return a < b ? a : b;
#endif
}

SHOAL_KERNEL Floats turn_8(Floats x) {
  return __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}
SHOAL_KERNEL Floats turn_4(Floats x) {
  return __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
}
SHOAL_KERNEL Floats turn_2(Floats x) {
  return __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}
SHOAL_KERNEL Floats turn_1(Floats x) {
  return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

SHOAL_KERNEL float sum(Floats x) {
  x += turn_8(x);
  x += turn_4(x);
  x += turn_2(x);
  x += turn_1(x);
  return x[0];
}

SHOAL_KERNEL float maximum(Floats x) {
  x = larger(x, turn_8(x));
  x = larger(x, turn_4(x));
  x = larger(x, turn_2(x));
  x = larger(x, turn_1(x));
  return x[0];
}

/// Registers that are computed side by side: each alone would wait for its last operation at every step.
constexpr int abreast = 4;

/// exp(x) for |x| <= 87, saturating beyond: reduction to |r| <= ln2/2, polynomial of degree 7, scaling by 2^k.
template <int registers>
SHOAL_KERNEL void exponential(Floats (&x)[registers]) {
  constexpr float shift = 0x1.8p23F;  // adding it rounds to an integer in the lowest bits
  Floats shifted[registers], r[registers], p[registers];
  for (int i = 0; i < registers; ++i) x[i] = larger(Floats{} - 87.0F, x[i]);
  for (int i = 0; i < registers; ++i) x[i] = smaller(Floats{} + 87.0F, x[i]);
  for (int i = 0; i < registers; ++i) shifted[i] = x[i] * 0x1.715476p0F + shift;
  for (int i = 0; i < registers; ++i) r[i] = x[i] - (shifted[i] - shift) * 0x1.62e4p-1F;
  for (int i = 0; i < registers; ++i) r[i] -= (shifted[i] - shift) * 0x1.7f7d1cp-20F;
  for (int i = 0; i < registers; ++i) p[i] = r[i] * (1.0F / 5040) + 1.0F / 720;
  for (int i = 0; i < registers; ++i) p[i] = p[i] * r[i] + 1.0F / 120;
  for (int i = 0; i < registers; ++i) p[i] = p[i] * r[i] + 1.0F / 24;
  for (int i = 0; i < registers; ++i) p[i] = p[i] * r[i] + 1.0F / 6;
  for (int i = 0; i < registers; ++i) p[i] = p[i] * r[i] + 0.5F;
  for (int i = 0; i < registers; ++i) p[i] = 1.0F + (r[i] + r[i] * r[i] * p[i]);
  for (int i = 0; i < registers; ++i)
    x[i] = p[i] * reinterpret_cast<Floats>((reinterpret_cast<Words>(shifted[i]) << 23U) + (127U << 23U));
}

SHOAL_KERNEL Floats exponential(Floats x) {
  Floats one[1] = {x};
  exponential(one);
  return one[0];
}

template <class T>
void rms_norm(const float* x, const float* weight, int n, float epsilon, T* out) {
  Floats squares{};
  for (int i = 0; i < n; i += lanes) squares += load(x + i) * load(x + i);
  const float scale = 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + epsilon);
  for (int i = 0; i < n; i += lanes) store(load(x + i) * scale * load(weight + i), out + i);
}

void head_norm(float* x, const float* weight, int n, float epsilon) { rms_norm(x, weight, n, epsilon, x); }

template <class T>
void layer_norm(const float* x, const NormParameters& parameters, int n, T* out) {
  Floats total{};
  for (int i = 0; i < n; i += lanes) total += load(x + i);
  const float mean = sum(total) / static_cast<float>(n);
  Floats squares{};
  for (int i = 0; i < n; i += lanes) squares += (load(x + i) - mean) * (load(x + i) - mean);
  const float scale = 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + parameters.epsilon);
  for (int i = 0; i < n; i += lanes)
    store((load(x + i) - mean) * scale * load(parameters.weight + i) + load(parameters.bias + i), out + i);
}

void rotate(float* x, const float* cosines, const float* sines, int half) {
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

template <int registers, class T>
SHOAL_KERNEL void swiglu_at(const float* gate, const float* up, T* out) {
  Floats g[registers], e[registers];
  for (int i = 0; i < registers; ++i) g[i] = load(gate + i * lanes);
  for (int i = 0; i < registers; ++i) e[i] = -g[i];
  exponential(e);
  for (int i = 0; i < registers; ++i) store(g[i] / (1.0F + e[i]) * load(up + i * lanes), out + i * lanes);
}

template <class T>
void swiglu(const float* gate, const float* up, int n, T* out) {
  int i = 0;
  for (; i + abreast * lanes <= n; i += abreast * lanes) swiglu_at<abreast>(gate + i, up + i, out + i);
  for (; i < n; i += lanes) swiglu_at<1>(gate + i, up + i, out + i);
}

/// With (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)).
template <int registers, class T>
SHOAL_KERNEL void gelu_tanh_at(const float* x, T* out) {
  Floats v[registers], e[registers];
  for (int i = 0; i < registers; ++i) v[i] = load(x + i * lanes);
  for (int i = 0; i < registers; ++i) e[i] = -2.0F * (0.7978845608F * (v[i] + 0.044715F * v[i] * v[i] * v[i]));
  exponential(e);
  for (int i = 0; i < registers; ++i) store(v[i] / (1.0F + e[i]), out + i * lanes);
}

template <class T>
void gelu_tanh(const float* x, int n, T* out) {
  int i = 0;
  for (; i + abreast * lanes <= n; i += abreast * lanes) gelu_tanh_at<abreast>(x + i, out + i);
  for (; i < n; i += lanes) gelu_tanh_at<1>(x + i, out + i);
}

void add(const float* from, int n, float* to) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) store(load(to + i) + load(from + i), to + i);
  for (; i < n; ++i) to[i] += from[i];
}

/// Positions whose scores are kept before their values are added: a fixed size, so that a row's bits do not depend on
/// how long it is.
constexpr int window = 512;

SHOAL_KERNEL Floats keep_first(Floats x, int count) {
  const Floats index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return index < static_cast<float>(count) ? x : Floats{} - infinity;
}

SHOAL_KERNEL Floats drop_first(Floats x, int count) {
  const Floats index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return index < static_cast<float>(count) ? Floats{} - infinity : x;
}

/// The head's keys in the block that holds @p position; its values follow them.
template <class T>
SHOAL_KERNEL const T* keys_at(const AttentionTask<T>& task, int position) {
  return reinterpret_cast<const T*>(task.blocks[position / lanes]) + task.offset;
}

// Keys lie as [16][head_dim], and so do values in single precision. In bf16 the values of two neighbours lie together,
// as [8][head_dim][2]: the processor's dot products want pairs. A product of two bf16 is exact in single precision, so
// that a dot product has the same bits with and without such instructions.

template <class T>
void store_key(const float* key, int head_dim, int slot, T* keys) {
  for (int d = 0; d < head_dim; d += lanes) store(load(key + d), keys + slot * head_dim + d);
}

inline void store_value(const float* value, int head_dim, int slot, float* values) {
  __builtin_memcpy(values + slot * head_dim, value, sizeof(float) * static_cast<std::size_t>(head_dim));
}
/// Writes no neighbour: another thread may.
inline void store_value(const float* value, int head_dim, int slot, Bf16* values) {
  Bf16* pairs = values + slot / 2 * 2 * head_dim;
  for (int d = 0; d < head_dim; d += lanes) {
    Bf16 row[lanes];
    store(load(value + d), row);
#ifdef __AVX512BW__
    Halves halves;
    __builtin_memcpy(&halves, row, sizeof halves);
    const Words words = __builtin_convertvector(halves, Words) << (slot % 2 * 16);
    _mm512_mask_storeu_epi16(pairs + 2 * d, slot % 2 == 0 ? 0x55555555U : 0xAAAAAAAAU,
                             reinterpret_cast<__m512i>(words));
#else
    for (int i = 0; i < lanes; ++i) pairs[2 * (d + i) + slot % 2] = row[i];
#endif
  }
}

struct Pairs {
  Words words;  ///< each an odd element above an even one
};
SHOAL_KERNEL Pairs load_pairs(const Bf16* from) {
  Pairs pairs;
  __builtin_memcpy(&pairs, from, sizeof pairs);
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
  sum += reinterpret_cast<Floats>(a.words & odd) * reinterpret_cast<Floats>(b.words & odd);
  return sum + reinterpret_cast<Floats>(a.words << 16U) * reinterpret_cast<Floats>(b.words << 16U);
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

/// Brings the blocks that only the next row has from memory to the second-level cache: some lines with each four keys
/// or values of the row at hand, so that memory is busy all the time. (Without, a row of 100 positions waits for half
/// of its time; the first-level cache awaits too few lines at once.)
template <class T>
class Prefetcher {
 public:
  explicit SHOAL_METHOD Prefetcher(const AttentionTask<T>& task)
      : offset_(static_cast<std::ptrdiff_t>(task.offset * sizeof(T))),
        lines_(2 * lanes * task.head_dim * static_cast<int>(sizeof(T)) / line) {
    if (task.next == nullptr) return;
    const int first = task.first / lanes;
    const int end = (task.positions + lanes - 1) / lanes;
    int block = end;
    while (block > first && task.next[block - 1] != task.blocks[block - 1]) --block;
    block_ = task.next + block;
    end_ = task.next + end;
    const int times = (task.positions - first * lanes) / 4 * 2;
    at_once_ = (end - block) * lines_ / (times + 1) + 1;
    begin_block();
  }
  SHOAL_METHOD void fetch() {
    for (int i = 0; i < at_once_ && left_ > 0; ++i) {
      __builtin_prefetch(at_, 0, 2);
      at_ += line;
      if (--left_ == 0) begin_block();
    }
  }

 private:
  static constexpr int line = 64;

  SHOAL_METHOD void begin_block() {
    if (block_ == end_) return;
    at_ = *block_++ + offset_;
    left_ = lines_;
  }

  std::ptrdiff_t offset_;
  int lines_;  ///< of the head's keys and values in a block
  const std::byte* const* block_ = nullptr;
  const std::byte* const* end_ = nullptr;
  const std::byte* at_ = nullptr;
  int left_ = 0;  ///< lines of the block
  int at_once_ = 0;
};

/// Products of the query with 4 positions' keys: 4 partial sums of the first, of the second, ...
template <class T>
SHOAL_KERNEL Floats dot_4_keys(const T* query, const T* keys, int head_dim) {
  constexpr int width = sizeof(Floats) / sizeof(T);
  Floats s[4]{};
  int d = 0;
  for (; d + width <= head_dim; d += width)
    for (int i = 0; i < 4; ++i)
      s[i] = add_products(s[i], load_operands(query + d), load_operands(keys + i * head_dim + d));
  if constexpr (width > lanes)
    if (d < head_dim)
      for (int i = 0; i < 4; ++i) s[i] = add_products(s[i], load_half(query + d), load_half(keys + i * head_dim + d));
  const auto fold = [](Floats a, Floats b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  };
  const Floats a = fold(s[0], s[1]);
  const Floats b = fold(s[2], s[3]);
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

/// Dot products of the query with the keys of a block's first @p count positions; beyond them anything. Each in the
/// order of sum().
template <class T>
SHOAL_KERNEL Floats dot_keys(const T* query, const T* keys, int head_dim, int count, Prefetcher<T>* next) {
  Floats s[4]{};
  for (int i = 0; i < 4; ++i)
    if (4 * i < count) {
      s[i] = dot_4_keys(query, keys + 4 * i * head_dim, head_dim);
      next->fetch();
    }
  const auto fold = [](Floats a, Floats b) {
    return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  };
  const Floats a = fold(s[0], s[1]);
  const Floats b = fold(s[2], s[3]);
  const Floats sums = __builtin_shufflevector(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
                      __builtin_shufflevector(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
  return __builtin_shufflevector(sums, sums, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

/// @return the largest score
template <class T>
SHOAL_KERNEL float score_window(const AttentionTask<T>& task, const T* query, int begin, int end, Prefetcher<T>* next,
                                Floats* scores) {
  Floats top = Floats{} - infinity;
  for (int p = begin; p < end; p += lanes) {
    const Floats dots = dot_keys(query, keys_at(task, p), task.head_dim, end - p, next);
    *scores = keep_first(dots * task.scale, end - p);
    if (p < task.first) *scores = drop_first(*scores, task.first - p);
    top = larger(*scores++, top);
  }
  return maximum(top);
}

/// Adds one block's @p count weighted values of dimensions [d, d + tile * 16); even and odd ones apart, for speed.
template <int tile>
SHOAL_KERNEL void add_block_values(const float* values, int head_dim, const float* weights, int count,
                                   Prefetcher<float>* next, Floats* even, Floats* odd) {
  const auto add = [&](int j, Floats* sums) {
    for (int t = 0; t < tile; ++t) sums[t] += weights[j] * load(values + j * head_dim + t * lanes);
  };
  for (int j = 0; j + 1 < count; j += 2) {
    add(j, even);
    add(j + 1, odd);
    if (j % 4 == 0) next->fetch();
  }
  if (count % 2 != 0) add(count - 1, even);
}
template <int tile>
SHOAL_KERNEL void add_block_values(const Bf16* values, int head_dim, const Bf16* weights, int count,
                                   Prefetcher<Bf16>* next, Floats* even, Floats* odd) {
  const auto add = [&](int j, Words mask, Floats* sums) {
    for (int t = 0; t < tile; ++t) {
      Pairs pair = load_pairs(values + j * head_dim + 2 * t * lanes);
      pair.words &= mask;
      sums[t] = add_products(sums[t], repeat_pair(weights + j), pair);
    }
  };
  int j = 0;
  for (; j + 3 < count; j += 4) {
    add(j, ~Words{}, even);
    add(j + 2, ~Words{}, odd);
    next->fetch();
  }
  for (; j + 1 < count; j += 2) add(j, ~Words{}, even);
  if (j < count) add(j, Words{} + 0xFFFFU, even);  // nothing was written to the pair's other half
}

/// Where the values of dimension d begin.
SHOAL_KERNEL const float* values_from(const float* values, int d) { return values + d; }
SHOAL_KERNEL const Bf16* values_from(const Bf16* values, int d) { return values + 2 * d; }

template <int tile, class T>
SHOAL_KERNEL void add_values(const AttentionTask<T>& task, int begin, int end, const T* weights, int d,
                             Prefetcher<T>* next, Floats* sums) {
  Floats even[tile]{};
  Floats odd[tile]{};
  for (int p = begin; p < end; p += lanes, weights += lanes) {
    const T* values = values_from(keys_at(task, p) + task.head_dim * lanes, d);
    const int count = end - p < lanes ? end - p : lanes;
    add_block_values<tile>(values, task.head_dim, weights, count, next, even, odd);
  }
  for (int t = 0; t < tile; ++t) sums[t] += even[t] + odd[t];
}

/// Blocks that lie wholly before the first position that the row sees are left out.
/// @tparam fixed_dim the head dimension, if it is to be compiled in
template <int fixed_dim, class T>
SHOAL_KERNEL void attend_head(AttentionTask<T> task) {
  if constexpr (fixed_dim > 0) task.head_dim = fixed_dim;
  constexpr int most = fixed_dim > 0 ? fixed_dim : max_head_dim;
  T query[most];
  for (int d = 0; d < task.head_dim; d += lanes) store(load(task.query + d), query + d);
  Prefetcher<T> next(task);
  Floats sums[most / lanes]{};
  Floats totals{};
  float top = -infinity;
  for (int begin = task.first / lanes * lanes; begin < task.positions; begin += window) {
    const int end = task.positions - begin < window ? task.positions : begin + window;
    Floats scores[window / lanes];
    const float found = score_window(task, query, begin, end, &next, scores);
    const float new_top = found > top ? found : top;
    const float shrink = top < new_top - 80.0F ? 0.0F : exponential(Floats{} + (top - new_top))[0];
    totals *= shrink;
    T weights[window];
    for (int i = 0; begin + i * lanes < end; ++i) {
      store(scores[i] < new_top - 80.0F ? Floats{} : exponential(scores[i] - new_top), weights + i * lanes);
      totals += load(weights + i * lanes);
    }
    for (int d = 0; d < task.head_dim / lanes; ++d) sums[d] *= shrink;
    int d = 0;
    for (; d + 4 * lanes <= task.head_dim; d += 4 * lanes)
      add_values<4>(task, begin, end, weights, d, &next, sums + d / lanes);
    for (; d < task.head_dim; d += lanes) add_values<1>(task, begin, end, weights, d, &next, sums + d / lanes);
    top = new_top;
  }
  const float total = sum(totals);
  for (int d = 0; d < task.head_dim / lanes; ++d) store(sums[d] / total, task.out + d * lanes);
}

template <class T>
void attend(const AttentionTask<T>& task) {
  if (task.head_dim == 64) return attend_head<64>(task);
  if (task.head_dim == 128) return attend_head<128>(task);
  return attend_head<0>(task);
}

/// a * b + c, in one rounding where the processor has it: half the time. Only products use it, whose bits hang on the
/// processor anyway.
SHOAL_KERNEL Floats multiply_add(float a, Floats b, Floats c) {
#if defined(__FMA__) && !defined(__AVX512F__)
  __m256 half_b[2], half_c[2];
  __builtin_memcpy(half_b, &b, sizeof b);
  __builtin_memcpy(half_c, &c, sizeof c);
  for (int i = 0; i < 2; ++i) half_c[i] = _mm256_fmadd_ps(_mm256_set1_ps(a), half_b[i], half_c[i]);
  __builtin_memcpy(&c, half_c, sizeof c);
  return c;
#else
  return a * b + c;
#endif
}

template <int rows, class T>
SHOAL_KERNEL void multiply_rows(const PanelTask<T>& task, int row) {
  const T* x = task.x + static_cast<std::ptrdiff_t>(row) * task.inputs;
  Floats sums[rows]{};
  for (int k = 0; k < task.inputs; ++k) {
    const Floats w = load(task.panel + static_cast<std::ptrdiff_t>(k) * lanes);
    for (int r = 0; r < rows; ++r)
      sums[r] = multiply_add(load_one(x + static_cast<std::ptrdiff_t>(r) * task.inputs + k), w, sums[r]);
  }
  for (int r = 0; r < rows; ++r)
    __builtin_memcpy(task.y + (row + r) * task.stride, &sums[r],
                     sizeof(float) * static_cast<std::size_t>(task.outputs));
}

/// Every element is one sum in the order of the inputs, however many rows there are.
template <class T>
void multiply(const PanelTask<T>& task) {
  int row = 0;
  for (; row + 6 <= task.rows; row += 6) multiply_rows<6>(task, row);
  for (; row + 2 <= task.rows; row += 2) multiply_rows<2>(task, row);
  if (row < task.rows) multiply_rows<1>(task, row);
}

template <class T>
float round_row(const T* x, int n, std::uint8_t* out) {
  constexpr float shift = 0x1.8p23F;  // adding it rounds to an integer in the lowest bits
  Floats largest{};
  for (int i = 0; i < n; i += lanes) largest = larger(larger(load(x + i), -load(x + i)), largest);
  const float scale = maximum(largest) / 127.0F;
  const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  for (int i = 0; i < n; i += lanes) {
    const Words words = reinterpret_cast<Words>(load(x + i) * inverse + shift) + 128U;
    const Bytes bytes = __builtin_convertvector(words, Bytes);
    __builtin_memcpy(out + i, &bytes, sizeof bytes);
  }
  return scale;
}

void scale_sums(const ScaleTask& task) {
  for (int i = 0; i < task.outputs; ++i)
    task.y[i] = static_cast<float>(task.sums[i] - task.offsets[i]) * (task.scales[i] * task.row_scale);
}

#undef SHOAL_KERNEL
#undef SHOAL_METHOD

template <class T>
constexpr Kernels<T> this_table{rms_norm<T>,  head_norm,   layer_norm<T>, rotate,      swiglu<T>,    gelu_tanh<T>, add,
                                store_key<T>, store_value, attend<T>,     multiply<T>, round_row<T>, scale_sums};

}  // namespace
}  // namespace shoal::lm::cpu
