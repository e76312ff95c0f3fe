#include "lm/cpu/kernels.hpp"

#include "lm/cpu/kernels_by_isa.hpp"
#include "lm/cpu/matmul.hpp"

namespace shoal::lm::cpu {
namespace {

struct Tables {
  const Kernels<float>* f32;
  const Kernels<Bf16>* bf16;
};

Tables best_tables() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return {&avx512_kernels_f32(), has_fast_bf16() ? &avx512_bf16_kernels_bf16() : &avx512_kernels_bf16()};
  if (__builtin_cpu_supports("avx2")) return {&avx2_kernels_f32(), &avx2_kernels_bf16()};
#endif
  return {&baseline_kernels_f32(), &baseline_kernels_bf16()};
}

const Tables& tables() {
  static const Tables chosen = best_tables();
  return chosen;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return *tables().f32;
}

template <>
const Kernels<Bf16>& kernels<Bf16>() {
  return *tables().bf16;
}

}  // namespace shoal::lm::cpu
