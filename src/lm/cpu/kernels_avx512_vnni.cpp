#include "lm/cpu/attention_int8_body.hpp"
#include "lm/cpu/kernels_by_isa.hpp"

namespace shoal::lm::cpu {

const AttentionKernels<float>& avx512_vnni_int8_attention_f32() { return int8_attention<float>; }
const AttentionKernels<Bf16>& avx512_vnni_int8_attention_bf16() { return int8_attention<Bf16>; }

}  // namespace shoal::lm::cpu
