// Sixteen lanes of 32 bits: a vector of the compiler's, or two where the processor's registers are half as wide. (GCC
// keeps vectors that are wider than the registers in memory.) Included only by vectors_body.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace shoal::lm::cpu {
namespace {

#define SHOAL_KERNEL static inline __attribute__((always_inline))
#define SHOAL_METHOD inline __attribute__((always_inline))

constexpr int lanes = 16;

#if defined(__AVX2__) && !defined(__AVX512F__)

template <class Number, class Vector>
struct Wide {
  using Half = Vector;
  Half low, high;

  SHOAL_METHOD Wide& operator+=(Wide b) { return *this = *this + b; }
  SHOAL_METHOD Wide& operator-=(Wide b) { return *this = *this - b; }
  SHOAL_METHOD Wide& operator*=(Wide b) { return *this = *this * b; }
  SHOAL_METHOD Wide& operator*=(Number b) { return *this = *this * b; }
  SHOAL_METHOD Wide& operator&=(Wide b) { return *this = *this & b; }
};
using HalfFloats = float __attribute__((vector_size(2 * lanes)));
using HalfWords = std::uint32_t __attribute__((vector_size(2 * lanes)));
using HalfMask = std::int32_t __attribute__((vector_size(2 * lanes)));
using Floats = Wide<float, HalfFloats>;
using Words = Wide<std::uint32_t, HalfWords>;
using Mask = Wide<std::int32_t, HalfMask>;

/// Operators of two vectors, and of a vector and a number that stands for as many.
#define SHOAL_OPERATOR(op)                                    \
  template <class N, class V>                                 \
  SHOAL_KERNEL auto operator op(Wide<N, V> a, Wide<N, V> b) { \
    return join(a.low op b.low, a.high op b.high);            \
  }                                                           \
  template <class N, class V>                                 \
  SHOAL_KERNEL auto operator op(Wide<N, V> a, N b) {          \
    return join(a.low op b, a.high op b);                     \
  }                                                           \
  template <class N, class V>                                 \
  SHOAL_KERNEL auto operator op(N a, Wide<N, V> b) {          \
    return join(a op b.low, a op b.high);                     \
  }
SHOAL_KERNEL Floats join(HalfFloats low, HalfFloats high) { return {low, high}; }
SHOAL_KERNEL Words join(HalfWords low, HalfWords high) { return {low, high}; }
SHOAL_KERNEL Mask join(HalfMask low, HalfMask high) { return {low, high}; }
SHOAL_OPERATOR(+)
SHOAL_OPERATOR(-)
SHOAL_OPERATOR(*)
SHOAL_OPERATOR(/)
SHOAL_OPERATOR(<)
SHOAL_OPERATOR(>)
SHOAL_OPERATOR(==)
SHOAL_OPERATOR(&)
SHOAL_OPERATOR(|)
SHOAL_OPERATOR(<<)
SHOAL_OPERATOR(>>)
#undef SHOAL_OPERATOR
SHOAL_KERNEL Floats operator-(Floats x) { return {-x.low, -x.high}; }

template <class N, class V>
SHOAL_KERNEL Wide<N, V> select(Mask mask, Wide<N, V> a, Wide<N, V> b) {
  return {mask.low ? a.low : b.low, mask.high ? a.high : b.high};
}
SHOAL_KERNEL Words to_words(Floats x) {
  return {reinterpret_cast<HalfWords>(x.low), reinterpret_cast<HalfWords>(x.high)};
}
SHOAL_KERNEL Floats to_floats(Words x) {
  return {reinterpret_cast<HalfFloats>(x.low), reinterpret_cast<HalfFloats>(x.high)};
}
SHOAL_KERNEL float first(Floats x) { return x.low[0]; }

template <class N, class V>
SHOAL_KERNEL void load_wide(const void* from, Wide<N, V>* x) {
  __builtin_memcpy(&x->low, from, sizeof x->low);
  __builtin_memcpy(&x->high, static_cast<const char*>(from) + sizeof x->low, sizeof x->high);
}
template <class N, class V>
SHOAL_KERNEL void store_wide(Wide<N, V> x, void* to) {
  __builtin_memcpy(to, &x.low, sizeof x.low);
  __builtin_memcpy(static_cast<char*>(to) + sizeof x.low, &x.high, sizeof x.high);
}
/// From 16 bits each.
SHOAL_KERNEL Words widen(const void* from) {
  __m128i halves[2];
  __builtin_memcpy(halves, from, sizeof halves);
  return {reinterpret_cast<HalfWords>(_mm256_cvtepu16_epi32(halves[0])),
          reinterpret_cast<HalfWords>(_mm256_cvtepu16_epi32(halves[1]))};
}
SHOAL_KERNEL void narrow(Words x, std::uint16_t* to) {
  using Part = std::uint16_t __attribute__((vector_size(lanes)));
  const Part parts[2] = {__builtin_convertvector(x.low, Part), __builtin_convertvector(x.high, Part)};
  __builtin_memcpy(to, parts, sizeof parts);
}
SHOAL_KERNEL void narrow(Words x, std::uint8_t* to) {
  using Part = std::uint8_t __attribute__((vector_size(lanes / 2)));
  const Part parts[2] = {__builtin_convertvector(x.low, Part), __builtin_convertvector(x.high, Part)};
  __builtin_memcpy(to, parts, sizeof parts);
}

/// Eight lanes of the four vectors in @p parts, of at most two of them.
template <class Index, int begin, std::size_t... lane>
SHOAL_KERNEL HalfFloats shuffle_half(const HalfFloats (&parts)[4], std::index_sequence<lane...>) {
  constexpr int one = Index::at[begin] / 8;
  constexpr int other = [] {
    for (int i = begin; i < begin + 8; ++i)
      if (Index::at[i] / 8 != one) return Index::at[i] / 8;
    return one;
  }();
  return __builtin_shufflevector(parts[one], parts[other],
                                 (Index::at[begin + lane] % 8 + (Index::at[begin + lane] / 8 == one ? 0 : 8))...);
}
template <int... i>
struct ShuffleIndex {
  static constexpr int at[lanes] = {i...};
};
/// Lanes of @p a, which are 0 to 15, and of @p b, 16 to 31.
template <int... i>
SHOAL_KERNEL Floats shuffle(Floats a, Floats b) {
  const HalfFloats parts[4] = {a.low, a.high, b.low, b.high};
  using Index = ShuffleIndex<i...>;
  return {shuffle_half<Index, 0>(parts, std::make_index_sequence<8>()),
          shuffle_half<Index, 8>(parts, std::make_index_sequence<8>())};
}

#else

using Floats = float __attribute__((vector_size(4 * lanes)));
using Words = std::uint32_t __attribute__((vector_size(4 * lanes)));
using Mask = std::int32_t __attribute__((vector_size(4 * lanes)));

template <class Vector>
SHOAL_KERNEL Vector select(Mask mask, Vector a, Vector b) {
  return mask ? a : b;
}
SHOAL_KERNEL Words to_words(Floats x) { return reinterpret_cast<Words>(x); }
SHOAL_KERNEL Floats to_floats(Words x) { return reinterpret_cast<Floats>(x); }
SHOAL_KERNEL float first(Floats x) { return x[0]; }

template <class Vector>
SHOAL_KERNEL void load_wide(const void* from, Vector* x) {
  __builtin_memcpy(x, from, sizeof *x);
}
template <class Vector>
SHOAL_KERNEL void store_wide(Vector x, void* to) {
  __builtin_memcpy(to, &x, sizeof x);
}
SHOAL_KERNEL Words widen(const void* from) {
  std::uint16_t __attribute__((vector_size(2 * lanes))) halves;
  __builtin_memcpy(&halves, from, sizeof halves);
#ifdef __AVX512F__  // GCC 12 makes two conversions and an insertion of the general form
  return reinterpret_cast<Words>(_mm512_maskz_cvtepu16_epi32(0xFFFF, reinterpret_cast<__m256i>(halves)));
#else
  return __builtin_convertvector(halves, Words);
#endif
}
SHOAL_KERNEL void narrow(Words x, std::uint16_t* to) {
  const auto part = __builtin_convertvector(x, std::uint16_t __attribute__((vector_size(2 * lanes))));
  __builtin_memcpy(to, &part, sizeof part);
}
SHOAL_KERNEL void narrow(Words x, std::uint8_t* to) {
  const auto part = __builtin_convertvector(x, std::uint8_t __attribute__((vector_size(lanes))));
  __builtin_memcpy(to, &part, sizeof part);
}
template <int... i, class Vector>
SHOAL_KERNEL Vector shuffle(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, i...);
}

#endif

}  // namespace
}  // namespace shoal::lm::cpu
