// The row kernels' tables, one per instruction set that the compiler was asked for.
#pragma once

#include "smc/row_kernels.hpp"

namespace shoal::smc {

/// As sum_chunks.
struct RowTask {
  const float* logits;
  std::size_t tokens;
  const std::uint64_t* real;
  const std::uint64_t* allowed;
  double inverse_temperature;
  ScaledSum* of_real;
  ScaledSum* of_allowed;
};

struct RowKernels {
  void (*sum_chunks)(const RowTask& row);
  double (*exp_in_place)(float* logits, std::size_t count, const std::uint64_t* tokens, float reference,
                         double inverse_temperature);
};

const RowKernels& baseline_row_kernels();
#ifdef __x86_64__
const RowKernels& avx2_row_kernels();
const RowKernels& avx512_row_kernels();
#endif

}  // namespace shoal::smc
