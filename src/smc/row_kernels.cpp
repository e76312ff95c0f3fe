#include "smc/row_kernels.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/isa.hpp"
#include "smc/row_kernels_by_isa.hpp"

namespace shoal::smc {
namespace {

const RowKernels& kernels() {
#ifdef __x86_64__
  if (used_isa() >= Isa::avx512) return avx512_row_kernels();
  if (used_isa() >= Isa::avx2) return avx2_row_kernels();
#endif
  return baseline_row_kernels();
}

}  // namespace

void sum_chunks(std::span<const float> logits, TokenBits real, TokenBits allowed, double inverse_temperature,
                std::span<ScaledSum> of_real, std::span<ScaledSum> of_allowed) {
  SHOAL_EXPECT(of_real.size() == chunks_of(logits.size()) && of_allowed.size() == of_real.size());
  SHOAL_EXPECT(std::min(real.size(), allowed.size()) * 64 >= logits.size());
  kernels().sum_chunks({.logits = logits.data(),
                        .tokens = logits.size(),
                        .real = real.data(),
                        .allowed = allowed.data(),
                        .inverse_temperature = inverse_temperature,
                        .of_real = of_real.data(),
                        .of_allowed = of_allowed.data()});
}

double exp_in_place(std::span<float> logits, TokenBits tokens, float reference, double inverse_temperature) {
  SHOAL_EXPECT(tokens.size() * 64 >= logits.size());
  return kernels().exp_in_place(logits.data(), logits.size(), tokens.data(), reference, inverse_temperature);
}

}  // namespace shoal::smc
