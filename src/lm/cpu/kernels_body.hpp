// The kernels' one source, compiled once per instruction set. Included only by kernels_*.cpp, each inside a namespace
// of its own; calls nothing that another translation unit could share.
#pragma once

#include <cstdint>
#include <limits>

#include "lm/cpu/kernels.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int lanes = 16;
using Floats = float __attribute__((vector_size(4 * lanes)));
using Words = std::uint32_t __attribute__((vector_size(4 * lanes)));
using Halves = std::uint16_t __attribute__((vector_size(2 * lanes)));

#define SHOAL_KERNEL static inline __attribute__((always_inline))

SHOAL_KERNEL Floats load(const float* from) {
  Floats x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

SHOAL_KERNEL Floats load(const Bf16* from) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof halves);
  return reinterpret_cast<Floats>(__builtin_convertvector(halves, Words) << 16U);
}

SHOAL_KERNEL void store(Floats x, float* to) { __builtin_memcpy(to, &x, sizeof x); }

SHOAL_KERNEL void store(Floats x, Bf16* to) {
  const Words wide = reinterpret_cast<Words>(x);
  const Words rounded = (wide + 0x7FFFU + (wide >> 16U & 1U)) >> 16U;
  const Halves halves = __builtin_convertvector(rounded, Halves);
  __builtin_memcpy(static_cast<void*>(to), &halves, sizeof halves);
}

SHOAL_KERNEL float sum(Floats x) {
  float s[lanes];
  __builtin_memcpy(s, &x, sizeof s);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) s[i] += s[i + width];
  return s[0];
}

SHOAL_KERNEL float maximum(Floats x) {
  float s[lanes];
  __builtin_memcpy(s, &x, sizeof s);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) s[i] = s[i] > s[i + width] ? s[i] : s[i + width];
  return s[0];
}

/// exp(x) for |x| <= 87, saturating beyond: reduction to |r| <= ln2/2, polynomial of degree 7, scaling by 2^k.
SHOAL_KERNEL Floats exponential(Floats x) {
  constexpr float shift = 0x1.8p23F;  // adding it rounds to an integer in the lowest bits
  x = x < -87.0F ? Floats{} - 87.0F : x;
  x = x > 87.0F ? Floats{} + 87.0F : x;
  const Floats shifted = x * 0x1.715476p0F + shift;
  const Floats k = shifted - shift;
  const Floats r = (x - k * 0x1.62e4p-1F) - k * 0x1.7f7d1cp-20F;
  Floats p = r * (1.0F / 5040) + 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = 1.0F + (r + r * r * p);
  return p * reinterpret_cast<Floats>((reinterpret_cast<Words>(shifted) << 23U) + (127U << 23U));
}

template <class T>
void rms_norm(const float* x, const float* weight, int n, float epsilon, T* out) {
  Floats squares{};
  for (int i = 0; i < n; i += lanes) squares += load(x + i) * load(x + i);
  const float scale = 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + epsilon);
  for (int i = 0; i < n; i += lanes) store(load(x + i) * scale * load(weight + i), out + i);
}

void rotate(float* x, const float* cosines, const float* sines, int half) {
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

template <class T>
void swiglu(const float* gate, const float* up, int n, T* out) {
  for (int i = 0; i < n; i += lanes) {
    const Floats g = load(gate + i);
    store(g / (1.0F + exponential(-g)) * load(up + i), out + i);
  }
}

template <class T>
void convert(const float* x, int n, T* out) {
  for (int i = 0; i < n; i += lanes) store(load(x + i), out + i);
}

/// Scores of a block's 16 positions.
template <class T>
SHOAL_KERNEL Floats dot_keys(const float* query, const T* keys, int head_dim) {
  Floats s[4]{};
  for (int d = 0; d < head_dim; d += 4)
    for (int i = 0; i < 4; ++i) s[i] += query[d + i] * load(keys + (d + i) * lanes);
  return (s[0] + s[1]) + (s[2] + s[3]);
}

template <class T>
SHOAL_KERNEL void add_values(Floats weights, int count, const T* values, int head_dim, Floats* sums) {
  float w[lanes];
  __builtin_memcpy(w, &weights, sizeof w);
  for (int j = 0; j < count; ++j)
    for (int d = 0; d < head_dim / lanes; ++d) sums[d] += w[j] * load(values + j * head_dim + d * lanes);
}

SHOAL_KERNEL Floats keep_first(Floats x, int count) {
  const Floats index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return index < static_cast<float>(count) ? x : Floats{} - std::numeric_limits<float>::infinity();
}

template <class T>
void attend(const AttentionTask<T>& task) {
  Floats sums[max_head_dim / lanes]{};
  float top = -std::numeric_limits<float>::infinity();
  float total = 0.0F;
  for (int begin = 0; begin < task.positions; begin += lanes) {
    const int count = task.positions - begin < lanes ? task.positions - begin : lanes;
    const T* keys = reinterpret_cast<const T*>(task.blocks[begin / lanes]) + task.offset;
    const Floats scores = keep_first(dot_keys(task.query, keys, task.head_dim) * task.scale, count);
    const float new_top = maximum(scores) > top ? maximum(scores) : top;
    const Floats weights = scores < new_top - 80.0F ? Floats{} : exponential(scores - new_top);
    const float shrink = top < new_top - 80.0F ? 0.0F : exponential(Floats{} + (top - new_top))[0];
    total = total * shrink + sum(weights);
    for (int d = 0; d < task.head_dim / lanes; ++d) sums[d] *= shrink;
    add_values(weights, count, keys + task.head_dim * lanes, task.head_dim, sums);
    top = new_top;
  }
  for (int d = 0; d < task.head_dim / lanes; ++d) store(sums[d] / total, task.out + d * lanes);
}

#undef SHOAL_KERNEL

template <class T>
constexpr Kernels<T> this_table{rms_norm<T>, rotate, swiglu<T>, convert<T>, attend<T>};

}  // namespace
}  // namespace shoal::lm::cpu
