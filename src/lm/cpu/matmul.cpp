#include "lm/cpu/matmul.hpp"

#include <algorithm>

#include "base/parallel.hpp"
#include "lm/aligned.hpp"
#include "lm/cpu/int8_matrix.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/one_dnn_product.hpp"

namespace shoal::lm::cpu {
namespace {

using dnnl::memory;

memory::data_type data_type(OperandType type) {
  return type == OperandType::f32 ? memory::data_type::f32 : memory::data_type::bf16;
}

}  // namespace

bool has_fast_bf16() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

ProductLibrary best_library(OperandType type) {
#ifdef __x86_64__
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (type == OperandType::f32 ? avx512 : has_fast_bf16()) return ProductLibrary::one_dnn;
#endif
  return ProductLibrary::own;
}

namespace {

class OneDnnMatrix final : public PackedMatrix {
 public:
  OneDnnMatrix(std::shared_ptr<OneDnnProduct> product, const MatrixView& matrix)
      : product_(std::move(product)), weights_(product_->pack(matrix.data, data_type(matrix.type))) {}
  [[nodiscard]] std::size_t bytes() const override { return product_->packed().get_size(); }
  void multiply(const void* x, int rows, float* y) const override {
    if (rows > 0) product_->multiply(x, rows, weights_, y);
  }

 private:
  std::shared_ptr<OneDnnProduct> product_;
  memory weights_;
};

void assign(float value, float* to) { *to = value; }
void assign(float value, Bf16* to) { *to = Bf16::from_float(value); }

float element(const MatrixView& matrix, std::size_t index) {
  if (matrix.type == OperandType::f32) return static_cast<const float*>(matrix.data)[index];
  return static_cast<const Bf16*>(matrix.data)[index].to_float();
}

/// Panels of 16 outputs, each [inputs][16].
template <class T>
class OwnMatrix final : public PackedMatrix {
 public:
  explicit OwnMatrix(const MatrixView& matrix)
      : outputs_(matrix.outputs), inputs_(matrix.inputs), weights_(panels() * panel_size()) {
    parallel_for(panels(), [&](std::size_t panel) {
      for (std::size_t i = 0; i < panel_size(); ++i) {
        const std::size_t output = panel * width + i % width;
        const std::size_t index = output * static_cast<std::size_t>(inputs_) + i / width;
        assign(output < static_cast<std::size_t>(outputs_) ? element(matrix, index) : 0.0F,
               &weights_[panel * panel_size() + i]);
      }
    });
  }
  [[nodiscard]] std::size_t bytes() const override { return weights_.size() * sizeof(T); }
  void multiply(const void* x, int rows, float* y) const override {
    parallel_for(panels(), [&](std::size_t panel) {
      const int first = static_cast<int>(panel * width);
      kernels<T>().multiply({.x = static_cast<const T*>(x),
                             .rows = rows,
                             .inputs = inputs_,
                             .panel = weights_.data() + panel * panel_size(),
                             .outputs = std::min(static_cast<int>(width), outputs_ - first),
                             .y = y + first,
                             .stride = outputs_});
    });
  }

 private:
  static constexpr std::size_t width = 16;
  [[nodiscard]] std::size_t panels() const { return (static_cast<std::size_t>(outputs_) + width - 1) / width; }
  [[nodiscard]] std::size_t panel_size() const { return static_cast<std::size_t>(inputs_) * width; }

  int outputs_;
  int inputs_;
  AlignedVector<T> weights_;
};

}  // namespace

MatrixPacker::MatrixPacker(OperandType type, WeightFormat format) : MatrixPacker(type, best_library(type)) {
  if (format == WeightFormat::int8) int8_ = std::make_shared<Int8Products>();
}

PackedMatrixPtr MatrixPacker::pack(const MatrixView& matrix) {
  if (int8_) return pack_int8(matrix, type_, int8_);
  if (library_ == ProductLibrary::own) {
    if (type_ == OperandType::bf16) return std::make_unique<OwnMatrix<Bf16>>(matrix);
    return std::make_unique<OwnMatrix<float>>(matrix);
  }
  auto& product = products_[{matrix.outputs, matrix.inputs}];
  if (!product)
    product = std::make_shared<OneDnnProduct>(matrix.outputs, matrix.inputs,
                                              ProductTypes{data_type(type_), data_type(type_), memory::data_type::f32});
  return std::make_unique<OneDnnMatrix>(product, matrix);
}

}  // namespace shoal::lm::cpu
