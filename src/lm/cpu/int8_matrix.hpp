// Int8Matrix: weights rounded to 8 bits with one scale per output; activations are rounded row by row as they come
// (vector-wise quantization, Dettmers et al. 2022, section 3.1). Sums are exact integers, so a row's bits cannot depend
// on anything else, the instruction set included.
#pragma once

#include <cstdint>
#include <memory>

#include "base/aligned.hpp"
#include "lm/cpu/matmul.hpp"

namespace shoal::lm::cpu {

/// Room for the rounded rows of the product that is computed: one for all matrices of a model.
struct Int8Rows {
  AlignedVector<std::uint8_t> values;  ///< [rows, inputs], 128 stands for 0
  AlignedVector<float> scales;
};

/// Only if computes_int8(). @param inputs a multiple of 16 @param type of the products' operands, rounded inside
std::unique_ptr<PackedMatrix> make_int8_matrix(int outputs, int inputs, OperandType type,
                                               std::shared_ptr<Int8Rows> rows);

}  // namespace shoal::lm::cpu
