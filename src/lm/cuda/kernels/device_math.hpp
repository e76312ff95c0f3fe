// Arithmetic that kernels' bodies are written in: the same source for nvcc and, emulated, for the host's compiler.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define SHOAL_DEVICE __device__ __forceinline__
#define SHOAL_UNROLL _Pragma("unroll")
#else
#define SHOAL_DEVICE inline
#define SHOAL_UNROLL
#endif

#include "lm/number_formats.hpp"

namespace shoal::lm::cuda {

inline constexpr float log2_e = 1.4426950408889634F;

SHOAL_DEVICE float minus_infinity() { return -std::bit_cast<float>(0x7F800000U); }

SHOAL_DEVICE float to_float(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16U); }

/// Two numbers rounded to bf16, to nearest even, the first in the lower half.
SHOAL_DEVICE std::uint32_t pack_bf16(float low, float high) {
#ifdef __CUDA_ARCH__
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
#elif !defined(__CUDACC__)
  return Bf16::from_float(low).bits | static_cast<std::uint32_t>(Bf16::from_float(high).bits) << 16U;
#else
  return 0;
#endif
}

SHOAL_DEVICE Bf16 to_bf16(float x) { return {static_cast<std::uint16_t>(pack_bf16(x, 0.0F) & 0xFFFFU)}; }

/// What a thread loads or stores at once.
struct alignas(16) Sixteen {
  std::uint32_t words[4];
};

/// The same as numbers.
template <class T>
struct alignas(16) Pack {
  static constexpr int size = 16 / static_cast<int>(sizeof(T));
  T at[size];
};

/// The @p i-th pack of a list that begins at a multiple of 16 bytes.
template <class T>
SHOAL_DEVICE Pack<T>& pack(T* list, int i) {
  return reinterpret_cast<Pack<T>*>(list)[i];
}
template <class T>
SHOAL_DEVICE const Pack<T>& pack(const T* list, int i) {
  return reinterpret_cast<const Pack<T>*>(list)[i];
}

SHOAL_DEVICE float larger(float a, float b) { return a > b ? a : b; }
SHOAL_DEVICE int smaller(int a, int b) { return a < b ? a : b; }

}  // namespace shoal::lm::cuda
