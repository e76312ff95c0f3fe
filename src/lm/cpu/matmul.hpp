// Matrix products with packed weights. A row of the result has the same bits whatever the number of rows and threads.
// oneDNN's f32 kernels for AVX-512 keep this (tests/lm checks it on the machine at hand); those for older instruction
// sets do not: there kernels of our own compute. So they do in bf16 and int8 (see panel_product.hpp).
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/aligned.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/number_formats.hpp"
#include "lm/weight_memory.hpp"

namespace shoal::lm::cpu {

enum class OperandType { f32, bf16 };

template <class T>
constexpr OperandType operand_type = OperandType::f32;
template <>
inline constexpr OperandType operand_type<Bf16> = OperandType::bf16;

/// True if bf16 products run on instructions of their own.
bool has_fast_bf16();
/// True if products of 8-bit numbers do, of AVX-512.
bool has_vnni();
/// True if there are products of 8-bit numbers.
bool computes_int8();

/// Of the products of a model, and so of its keys and values: f32 or bf16 as @p dtype says, bf16 under products of 8
/// bits (rounded inside), else bf16 where has_fast_bf16().
OperandType operands_of(DType dtype);

KvFormat format_of(KvDType dtype);
HeadLayout head_layout(KvFormat format, OperandType operands, int head_dim);

/// A weight matrix as a checkpoint stores it: [outputs, inputs], row-major.
struct MatrixView {
  int outputs = 0;
  int inputs = 0;
  OperandType type = OperandType::f32;
  const void* data = nullptr;
};

/// A weight matrix that is read when it is packed, and only where it is.
struct MatrixSource {
  int outputs = 0;
  int inputs = 0;
  /// @param copy room for the matrix, if the checkpoint does not have it in one piece
  std::function<MatrixView(AlignedVector<std::byte>* copy)> read;
};

/// y = x W^T. Uses all of the rank's worker threads inside.
class PackedMatrix {
 public:
  virtual ~PackedMatrix() = default;
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  /// The weights lie, or will lie, at @p data: bytes() bytes that begin on a cache line.
  virtual void place(std::shared_ptr<std::byte[]> data) = 0;
  /// Packs the weights into their place.
  virtual void fill(const MatrixView& matrix) = 0;
  /// @param x [rows, inputs] of the operand type @param y [rows, outputs]
  virtual void multiply(const void* x, int rows, float* y) const = 0;
};
using PackedMatrixPtr = std::unique_ptr<const PackedMatrix>;

enum class ProductLibrary { one_dnn, own };
/// The faster one that keeps a row's bits on this processor.
ProductLibrary best_library(OperandType type);

enum class WeightFormat { as_operands, int8 };

/// Rows to compute products for where the operands have room for a few more than are wanted: oneDNN compiles each
/// number of rows for itself, so let there be few.
int padded_rows(int rows, OperandType type, WeightFormat format);

class OneDnnProduct;
struct Int8Rows;

/// Packs the matrices of one model; those of equal shape share their compiled code.
class MatrixPacker {
 public:
  /// @param type of the products' operands @param format int8 only if computes_int8()
  explicit MatrixPacker(OperandType type, WeightFormat format = WeightFormat::as_operands,
                        WeightMemory memory = WeightMemory());
  MatrixPacker(OperandType type, ProductLibrary library) : type_(type), library_(library) {}
  [[nodiscard]] PackedMatrixPtr pack(const MatrixView& matrix);
  /// Its weights are there when finish() returns.
  [[nodiscard]] PackedMatrixPtr pack_later(MatrixSource matrix);
  /// Packs on all of the rank's worker threads, a matrix on each.
  void finish();

 private:
  std::unique_ptr<PackedMatrix> make(int outputs, int inputs);

  OperandType type_;
  ProductLibrary library_;
  WeightMemory memory_;
  std::vector<std::function<void()>> jobs_;
  std::shared_ptr<Int8Rows> int8_;  ///< null unless the weights are packed in int8
  std::shared_ptr<AlignedVector<float>> wide_rows_ = std::make_shared<AlignedVector<float>>();
  std::map<std::pair<int, int>, std::shared_ptr<OneDnnProduct>> products_;
};

}  // namespace shoal::lm::cpu
