// Matrix products with packed weights, by oneDNN. A row of the result has the same bits whatever the number of rows and
// threads (measured for oneDNN's packed bf16 and f32 kernels up to AVX-512; tests/lm checks it on the machine at hand).
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "lm/number_formats.hpp"

namespace shoal::lm::cpu {

enum class OperandType { f32, bf16 };

template <class T>
constexpr OperandType operand_type = OperandType::f32;
template <>
inline constexpr OperandType operand_type<Bf16> = OperandType::bf16;

/// True if bf16 products run on instructions of their own.
bool has_fast_bf16();

/// A weight matrix as a checkpoint stores it: [outputs, inputs], row-major.
struct MatrixView {
  int outputs = 0;
  int inputs = 0;
  OperandType type = OperandType::f32;
  const void* data = nullptr;
};

class ProductPlan;

/// The products of one model: matrices of equal shape share their compiled code. Not thread-safe; a product uses all
/// of the rank's worker threads inside.
class PackedMatrix {
 public:
  [[nodiscard]] int outputs() const;
  [[nodiscard]] std::size_t bytes() const;
  /// y[rows, outputs] = x[rows, inputs] * W^T, x of the operand type.
  void multiply(const void* x, int rows, float* y) const;

 private:
  friend class MatrixPacker;
  struct Packed;
  PackedMatrix(std::shared_ptr<ProductPlan> plan, std::shared_ptr<const Packed> packed);
  std::shared_ptr<ProductPlan> plan_;
  std::shared_ptr<const Packed> packed_;
};

class MatrixPacker {
 public:
  /// @param type of the products' operands
  explicit MatrixPacker(OperandType type) : type_(type) {}
  [[nodiscard]] PackedMatrix pack(const MatrixView& matrix);

 private:
  OperandType type_;
  std::map<std::pair<int, int>, std::shared_ptr<ProductPlan>> plans_;
};

}  // namespace shoal::lm::cpu
