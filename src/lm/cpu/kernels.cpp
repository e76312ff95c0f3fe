#include "lm/cpu/kernels.hpp"

#include "base/isa.hpp"
#include "lm/cpu/kernels_by_isa.hpp"

namespace shoal::lm::cpu {
namespace {

struct Tables {
  const Kernels<float>* f32;
  const Kernels<Bf16>* bf16;
};

Tables tables() {
#ifdef __x86_64__
  if (used_isa() >= Isa::avx512_bf16) return {&avx512_kernels_f32(), &avx512_bf16_kernels_bf16()};
  if (used_isa() >= Isa::avx512) return {&avx512_kernels_f32(), &avx512_kernels_bf16()};
  if (used_isa() >= Isa::avx2) return {&avx2_kernels_f32(), &avx2_kernels_bf16()};
#endif
  return {&baseline_kernels_f32(), &baseline_kernels_bf16()};
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

template <>
const AttentionKernels<float>& attention_kernels(KvFormat format) {
#ifdef __x86_64__
  if (format == KvFormat::int8) return avx512_vnni_int8_attention_f32();
#endif
  return kernels<float>();
}

template <>
const AttentionKernels<Bf16>& attention_kernels(KvFormat format) {
#ifdef __x86_64__
  if (format == KvFormat::int8) return avx512_vnni_int8_attention_bf16();
#endif
  return kernels<Bf16>();
}

}  // namespace shoal::lm::cpu
