// The kernels of every instruction set that this processor has, and what their tests compute with.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
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

/// Runs @p compute(kernels, out) for every table of @p tables, pairs of name and kernels; @return what all of them
/// give.
template <class T, class Tables, class Compute>
std::vector<double> same_for_all(const Tables& tables, std::size_t n, const Compute& compute) {
  std::vector<T> first;
  for (const auto& [name, kernels] : tables) {
    std::vector<T> out(n);
    compute(*kernels, out.data());
    if (first.empty()) first = out;
    EXPECT_EQ(std::memcmp(out.data(), first.data(), n * sizeof(T)), 0) << name;
  }
  std::vector<double> values;
  for (const T x : first) values.push_back(to_double(x));
  return values;
}

inline double largest_of(const std::vector<double>& x) {
  double largest = 0.0;
  for (const double v : x) largest = std::max(largest, std::abs(v));
  return largest;
}

/// @param tolerance relative to the largest that is expected
inline void expect_close(const std::vector<double>& found, const std::vector<double>& expected, double tolerance) {
  const double largest = std::max(largest_of(expected), 1e-30);
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], tolerance * largest) << "at " << i;
}

}  // namespace shoal::lm::cpu
