// Int8Matrix: weights rounded to 8 bits with one scale per output; activations are rounded row by row as they come
// (vector-wise quantization, Dettmers et al. 2022, section 3.1). Sums are exact integers, so a row's bits cannot depend
// on anything else. Needs the processor's VNNI instructions: older ones saturate at 16 bits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "base/aligned.hpp"
#include "lm/cpu/matmul.hpp"
#include "lm/cpu/one_dnn_product.hpp"

namespace shoal::lm::cpu {

bool has_vnni();

/// What the matrices of one model share: compiled products, and room for the operands of the one that is computed.
struct Int8Products {
  std::map<std::pair<int, int>, std::shared_ptr<OneDnnProduct>> by_shape;
  AlignedVector<std::uint8_t> operand;  ///< [rows, inputs], 128 stands for 0
  AlignedVector<float> row_scales;
  AlignedVector<std::int32_t> sums;  ///< [rows, outputs of a block]
};

/// @param type of the products' operands, rounded inside
std::unique_ptr<PackedMatrix> make_int8_matrix(int outputs, int inputs, OperandType type,
                                               std::shared_ptr<Int8Products> products);

}  // namespace shoal::lm::cpu
