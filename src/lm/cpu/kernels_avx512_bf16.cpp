#include "lm/cpu/kernels_body.hpp"
#include "lm/cpu/kernels_by_isa.hpp"

namespace shoal::lm::cpu {

const Kernels<Bf16>& avx512_bf16_kernels_bf16() { return this_table<Bf16>; }

}  // namespace shoal::lm::cpu
