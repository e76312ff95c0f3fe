// The kernels of every instruction set that this processor has, and what their tests compute with.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "lm/cpu/kernels_by_isa.hpp"
#include "lm/cpu/matmul.hpp"

namespace shoal::lm::cpu {

template <class T>
struct Named {
  std::string name;
  const Kernels<T>* kernels;
};

template <class T>
std::vector<Named<T>> tables();
template <>
inline std::vector<Named<float>> tables() {
  std::vector<Named<float>> all = {{"baseline", &baseline_kernels_f32()}};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back({"AVX2", &avx2_kernels_f32()});
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    all.push_back({"AVX-512", &avx512_kernels_f32()});
#endif
  return all;
}
template <>
inline std::vector<Named<Bf16>> tables() {
  std::vector<Named<Bf16>> all = {{"baseline", &baseline_kernels_bf16()}};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back({"AVX2", &avx2_kernels_bf16()});
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    all.push_back({"AVX-512", &avx512_kernels_bf16()});
  if (has_fast_bf16()) all.push_back({"AVX-512 BF16", &avx512_bf16_kernels_bf16()});
#endif
  return all;
}

inline double to_double(float x) { return x; }
inline double to_double(Bf16 x) { return x.to_float(); }
inline void assign(double value, float* to) { *to = static_cast<float>(value); }
inline void assign(double value, Bf16* to) { *to = Bf16::from_float(static_cast<float>(value)); }

inline std::vector<float> normal(std::size_t count, std::uint64_t seed, float scale = 1.0F) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> one(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = one(generator);
  return values;
}

}  // namespace shoal::lm::cpu
