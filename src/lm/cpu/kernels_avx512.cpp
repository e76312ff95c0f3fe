#include "lm/cpu/kernels_body.hpp"
#include "lm/cpu/kernels_by_isa.hpp"

namespace shoal::lm::cpu {

const Kernels<float>& avx512_kernels_f32() { return this_table<float>; }
const Kernels<Bf16>& avx512_kernels_bf16() { return this_table<Bf16>; }

}  // namespace shoal::lm::cpu
