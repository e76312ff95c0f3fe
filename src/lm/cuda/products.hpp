// Matrix products by cuBLASLt: y = x W^T, one algorithm per shape and batch size, chosen so that a row of y has the
// same bits in every batch. Bf16 products sum in one order for each weight shape: the algorithm for the largest batch,
// which may not split its sums, is the reference; for each smaller batch the first that repeats its bits is taken,
// tried on the GPU at hand. A batch size for which none does is computed as the next larger one. Products in 8 bits are
// exact, and may split their sums. An algorithm that does not run here is passed over.
#pragma once

#include <cublasLt.h>

#include <map>
#include <memory>
#include <tuple>

#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {

/// What becomes of a product.
enum class Output { bf16, f32, sums_of_8_bits };

struct ProductShape {
  int outputs = 0;
  int inputs = 0;
  Output output = Output::bf16;
  bool bias = false;
  int parts = 1;  ///< that the inputs are cut into, each with sums of its own; without a bias

  auto operator<=>(const ProductShape&) const = default;
};

struct Operands {
  const void* weights;  ///< [outputs, inputs], row-major, bf16 or int8
  const void* x;        ///< [rows, inputs], of the same type
  const void* bias;     ///< [outputs], in the type of y; null if there is none
  void* y;              ///< [rows, outputs]; of several parts [parts][most_rows, outputs], of which the first rows
};

/// In how many parts a bf16 product sums: a narrow one has too few tiles for a GPU otherwise. It depends on the
/// weights' shape alone, so a row's sums do not depend on its batch.
int parts_of(int outputs, int inputs);

class Products {
 public:
  explicit Products(const Stream& stream);
  ~Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  /// Chooses the algorithms of a shape; before its first product. @param weights any of that shape
  /// @throws ModelError if cuBLASLt has none
  void prepare(const ProductShape& shape, const void* weights);
  /// @param rows one of batch_sizes; x and y have room for most_rows
  void multiply(const ProductShape& shape, int rows, const Operands& operands) const;
  /// Largest number of rows that some batch is padded to although it is not its own size; 0 if all keep their bits.
  [[nodiscard]] int padded_for_bits() const { return padded_for_bits_; }

 private:
  class Plan;
  class Probe;
  [[nodiscard]] std::shared_ptr<const Plan> choose(const ProductShape& shape, int rows, const Probe& probe) const;

  const Stream& stream_;
  cublasLtHandle_t handle_ = nullptr;
  Array<std::byte> workspace_;
  std::map<std::pair<ProductShape, int>, std::shared_ptr<const Plan>> plans_;  ///< by shape and batch size
  int padded_for_bits_ = 0;
};

}  // namespace shoal::lm::cuda
