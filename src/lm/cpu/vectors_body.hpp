// Vectors of sixteen lanes, and what the kernels do with them. Included only by the kernels' other bodies.
#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <cstdint>
#include <limits>

#include "lm/cpu/wide_body.hpp"
#include "lm/number_formats.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

SHOAL_KERNEL float load_one(const float* from) { return *from; }
SHOAL_KERNEL float load_one(const Bf16* from) {
  const std::uint32_t word = static_cast<std::uint32_t>(from->bits) << 16U;
  float x;
  __builtin_memcpy(&x, &word, sizeof x);
  return x;
}

SHOAL_KERNEL Floats load(const float* from) {
  Floats x;
  load_wide(from, &x);
  return x;
}

SHOAL_KERNEL Floats load(const Bf16* from) { return to_floats(widen(from) << 16U); }

SHOAL_KERNEL void store(Floats x, float* to) { store_wide(x, to); }

/// As Bf16::from_float.
SHOAL_KERNEL void store(Floats x, Bf16* to) {
  const Words wide = to_words(x);
  const Words rounded = (wide + 0x7FFFU + (wide >> 16U & 1U)) >> 16U;
  narrow(select(x == x, rounded, wide >> 16U | 0x40U), &to->bits);
}

/// b if one is NaN
SHOAL_KERNEL Floats larger(Floats a, Floats b) {
#ifdef __AVX512F__
  return _mm512_maskz_max_ps(0xFFFF, a, b);
#else
  return select(a > b, a, b);
#endif
}
SHOAL_KERNEL Floats smaller(Floats a, Floats b) {
#ifdef __AVX512F__
  return _mm512_maskz_min_ps(0xFFFF, a, b);
#else
  return select(a < b, a, b);
#endif
}

SHOAL_KERNEL Floats turn_8(Floats x) { return shuffle<8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7>(x, x); }
SHOAL_KERNEL Floats turn_4(Floats x) { return shuffle<4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11>(x, x); }
SHOAL_KERNEL Floats turn_2(Floats x) { return shuffle<2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13>(x, x); }
SHOAL_KERNEL Floats turn_1(Floats x) { return shuffle<1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14>(x, x); }

SHOAL_KERNEL float sum(Floats x) {
  x += turn_8(x);
  x += turn_4(x);
  x += turn_2(x);
  x += turn_1(x);
  return first(x);
}

SHOAL_KERNEL float maximum(Floats x) {
  x = larger(x, turn_8(x));
  x = larger(x, turn_4(x));
  x = larger(x, turn_2(x));
  x = larger(x, turn_1(x));
  return first(x);
}

/// Registers that are computed side by side: each alone would wait for its last operation at every step.
constexpr int abreast = 4;

/// exp(x) for |x| <= 87: reduction to |r| <= ln2/2, polynomial of degree 7, scaling by 2^k.
template <int registers>
SHOAL_KERNEL void exponential_in_range(Floats (&x)[registers]) {
  constexpr float shift = 0x1.8p23F;  // adding it rounds to an integer in the lowest bits
  constexpr float rest[] = {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F};
  Floats shifted[registers], r[registers], p[registers];
  for (int i = 0; i < registers; ++i) shifted[i] = x[i] * 0x1.715476p0F + shift;
  for (int i = 0; i < registers; ++i) r[i] = x[i] - (shifted[i] - shift) * 0x1.62e4p-1F;
  for (int i = 0; i < registers; ++i) r[i] -= (shifted[i] - shift) * 0x1.7f7d1cp-20F;
  for (int i = 0; i < registers; ++i) p[i] = r[i] * (1.0F / 5040) + 1.0F / 720;
  for (const float c : rest)
    for (int i = 0; i < registers; ++i) p[i] = p[i] * r[i] + c;
  for (int i = 0; i < registers; ++i) p[i] = 1.0F + (r[i] + r[i] * r[i] * p[i]);
  for (int i = 0; i < registers; ++i) x[i] = p[i] * to_floats((to_words(shifted[i]) << 23U) + (127U << 23U));
}

/// Saturates beyond.
template <int registers>
SHOAL_KERNEL void exponential(Floats (&x)[registers]) {
  for (int i = 0; i < registers; ++i) x[i] = larger(Floats{} - 87.0F, x[i]);
  for (int i = 0; i < registers; ++i) x[i] = smaller(Floats{} + 87.0F, x[i]);
  exponential_in_range(x);
}

SHOAL_KERNEL Floats exponential(Floats x) {
  Floats one[1] = {x};
  exponential(one);
  return one[0];
}

/// cap * tanh(x / cap); near 0 by its series, where the exponential function's form would lose digits.
SHOAL_KERNEL Floats capped(Floats x, float cap) {
  const Floats u = x / cap, square = u * u;
  constexpr float rest[] = {62.0F / 2835, -17.0F / 315, 2.0F / 15, -1.0F / 3};
  Floats series = Floats{} - 1382.0F / 155925;
  for (const float c : rest) series = series * square + c;
  const Floats far = 1.0F - 2.0F / (1.0F + exponential(2.0F * u));
  return cap * select(square < 0.1F, u + u * square * series, far);
}

}  // namespace
}  // namespace shoal::lm::cpu
