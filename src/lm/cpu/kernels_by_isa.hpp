// The kernels' tables, one per instruction set that the compiler was asked for.
#pragma once

#include "lm/cpu/kernels.hpp"

namespace shoal::lm::cpu {

const Kernels<float>& baseline_kernels_f32();
const Kernels<Bf16>& baseline_kernels_bf16();
#ifdef __x86_64__
const Kernels<float>& avx2_kernels_f32();
const Kernels<Bf16>& avx2_kernels_bf16();
const Kernels<float>& avx512_kernels_f32();
const Kernels<Bf16>& avx512_kernels_bf16();
const Kernels<Bf16>& avx512_bf16_kernels_bf16();
const AttentionKernels<float>& avx512_vnni_int8_attention_f32();
const AttentionKernels<Bf16>& avx512_vnni_int8_attention_bf16();
#endif

}  // namespace shoal::lm::cpu
