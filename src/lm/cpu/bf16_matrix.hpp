// A matrix packed for bf16_product.hpp.
#pragma once

#include <memory>

#include "lm/cpu/matmul.hpp"

namespace shoal::lm::cpu {

/// Only if has_fast_bf16(). @param inputs a multiple of 16
std::unique_ptr<PackedMatrix> make_bf16_matrix(int outputs, int inputs);

}  // namespace shoal::lm::cpu
