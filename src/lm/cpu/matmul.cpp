#include "lm/cpu/matmul.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/isa.hpp"
#include "base/parallel.hpp"
#include "lm/cpu/bf16_matrix.hpp"
#include "lm/cpu/int8_matrix.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/one_dnn_product.hpp"
#include "lm/cpu/panel_division.hpp"

namespace shoal::lm::cpu {
namespace {

using dnnl::memory;

memory::data_type data_type(OperandType type) {
  return type == OperandType::f32 ? memory::data_type::f32 : memory::data_type::bf16;
}

}  // namespace

bool has_fast_bf16() { return used_isa() >= Isa::avx512_bf16; }
bool has_vnni() { return used_isa() >= Isa::avx512_vnni; }
bool computes_int8() { return used_isa() >= Isa::avx2; }

OperandType operands_of(DType dtype) {
  const bool bf16 = dtype == DType::automatic ? has_fast_bf16() : dtype != DType::f32;
  return bf16 ? OperandType::bf16 : OperandType::f32;
}

KvFormat format_of(KvDType dtype) { return dtype == KvDType::int8 ? KvFormat::int8 : KvFormat::as_operands; }

HeadLayout head_layout(KvFormat format, OperandType operands, int head_dim) {
  if (format == KvFormat::int8) return head_layout<Int8>(head_dim);
  return operands == OperandType::bf16 ? head_layout<Bf16>(head_dim) : head_layout<float>(head_dim);
}

ProductLibrary best_library(OperandType type) {
  return type == OperandType::f32 && used_isa() >= Isa::avx512 ? ProductLibrary::one_dnn : ProductLibrary::own;
}

namespace {

class OneDnnMatrix final : public PackedMatrix {
 public:
  explicit OneDnnMatrix(std::shared_ptr<OneDnnProduct> product) : product_(std::move(product)) {}
  [[nodiscard]] std::size_t bytes() const override { return product_->packed().get_size(); }
  void multiply(const void* x, int rows, float* y) const override {
    if (rows > 0) product_->multiply(x, rows, weights_, y);
  }
  void place(std::shared_ptr<std::byte[]> data) override {
    data_ = std::move(data);
    weights_ = product_->weights_at(data_.get());
  }
  void fill(const MatrixView& matrix) override { product_->pack(matrix.data, data_type(matrix.type), weights_); }

 private:
  std::shared_ptr<OneDnnProduct> product_;
  std::shared_ptr<std::byte[]> data_;
  memory weights_;  ///< at data_
};

void assign(float value, float* to) { *to = value; }
void assign(float value, Bf16* to) { *to = Bf16::from_float(value); }

float element(const MatrixView& matrix, std::size_t index) {
  if (matrix.type == OperandType::f32) return static_cast<const float*>(matrix.data)[index];
  return static_cast<const Bf16*>(matrix.data)[index].to_float();
}

/// Panels as PanelTask describes them.
template <class T>
class OwnMatrix final : public PackedMatrix {
 public:
  OwnMatrix(int outputs, int inputs, std::shared_ptr<AlignedVector<float>> rows)
      : outputs_(outputs), inputs_(inputs), rows_(std::move(rows)) {
    SHOAL_EXPECT(inputs % 16 == 0);
  }
  [[nodiscard]] std::size_t bytes() const override { return panels() * panel_size() * sizeof(T); }
  void multiply(const void* x, int rows, float* y) const override {
    if (rows == 0) return;
    const float* const operand = widen(static_cast<const T*>(x), rows);
    const PanelDivision division(panels(), rows, fewest_rows, static_cast<std::size_t>(worker_threads()));
    parallel_for(division.pieces(), [&](std::size_t i) {
      const PanelPiece piece = division.piece(i);
      for (std::size_t panel = piece.panel; panel < piece.panel + piece.panels; ++panel) {
        const int first = static_cast<int>(panel * width);
        kernels<T>().multiply({.x = operand + static_cast<std::ptrdiff_t>(piece.begin) * inputs_,
                               .rows = piece.end - piece.begin,
                               .inputs = inputs_,
                               .panel = weights() + panel * panel_size(),
                               .outputs = std::min(static_cast<int>(width), outputs_ - first),
                               .y = y + static_cast<std::ptrdiff_t>(piece.begin) * outputs_ + first,
                               .stride = outputs_});
      }
    });
  }
  void place(std::shared_ptr<std::byte[]> data) override { data_ = std::move(data); }
  void fill(const MatrixView& matrix) override {
    parallel_for(panels(), [&](std::size_t panel) {
      for (std::size_t i = 0; i < panel_size(); ++i) {
        const std::size_t output = panel * width + i % width;
        const std::size_t index = output * static_cast<std::size_t>(inputs_) + i / width;
        assign(output < static_cast<std::size_t>(outputs_) ? element(matrix, index) : 0.0F,
               weights() + panel * panel_size() + i / width * width +
                   static_cast<std::size_t>(panel_place<T>(static_cast<int>(i % width))));
      }
    });
  }

 private:
  static constexpr std::size_t width = panel_width;
  static constexpr int fewest_rows = 8;  ///< that are worth a pass over a panel of their own
  [[nodiscard]] std::size_t panels() const { return (static_cast<std::size_t>(outputs_) + width - 1) / width; }
  [[nodiscard]] std::size_t panel_size() const { return static_cast<std::size_t>(inputs_) * width; }
  [[nodiscard]] T* weights() const { return reinterpret_cast<T*>(data_.get()); }
  const float* widen(const float* x, int /*rows*/) const { return x; }
  const float* widen(const Bf16* x, int rows) const {
    const auto size = static_cast<std::size_t>(inputs_);
    rows_->resize(std::max(rows_->size(), static_cast<std::size_t>(rows) * size));
    parallel_for_short(static_cast<std::size_t>(rows), [&](std::size_t r) {
      for (std::size_t i = r * size; i < (r + 1) * size; ++i) (*rows_)[i] = x[i].to_float();
    });
    return rows_->data();
  }

  int outputs_;
  int inputs_;
  std::shared_ptr<AlignedVector<float>> rows_;  ///< operands widened to single precision
  std::shared_ptr<std::byte[]> data_;
};

}  // namespace

MatrixPacker::MatrixPacker(OperandType type, WeightFormat format, WeightMemory memory)
    : MatrixPacker(type, best_library(type)) {
  memory_ = std::move(memory);
  if (format == WeightFormat::int8) int8_ = std::make_shared<Int8Rows>();
}

std::unique_ptr<PackedMatrix> MatrixPacker::make(int outputs, int inputs) {
#ifdef __x86_64__
  if (int8_) return make_int8_matrix(outputs, inputs, type_, int8_);
  if (library_ == ProductLibrary::own && type_ == OperandType::bf16 && has_fast_bf16())
    return make_bf16_matrix(outputs, inputs);
#endif
  if (library_ == ProductLibrary::own) {
    if (type_ == OperandType::bf16) return std::make_unique<OwnMatrix<Bf16>>(outputs, inputs, wide_rows_);
    return std::make_unique<OwnMatrix<float>>(outputs, inputs, wide_rows_);
  }
  auto& product = products_[{outputs, inputs}];
  if (!product)
    product = std::make_shared<OneDnnProduct>(outputs, inputs,
                                              ProductTypes{data_type(type_), data_type(type_), memory::data_type::f32});
  return std::make_unique<OneDnnMatrix>(product);
}

int padded_rows(int rows, OperandType type, WeightFormat format) {
  const bool compiled = format != WeightFormat::int8 && best_library(type) == ProductLibrary::one_dnn;
  return !compiled || rows <= 8 ? rows : (rows + 3) / 4 * 4;
}

PackedMatrixPtr MatrixPacker::pack(const MatrixView& matrix) {
  auto packed = make(matrix.outputs, matrix.inputs);
  packed->place(memory_.take(packed->bytes()).data);
  packed->fill(matrix);
  return packed;
}

PackedMatrixPtr MatrixPacker::pack_later(MatrixSource matrix) {
  auto packed = make(matrix.outputs, matrix.inputs);
  PackedBytes bytes = memory_.take(packed->bytes());
  packed->place(bytes.data);
  if (bytes.ours)
    jobs_.push_back([matrix = std::move(matrix), to = packed.get(), at = bytes.data.get()] {
      WeightMemory::populate({at, to->bytes()});
      AlignedVector<std::byte> copy;
      to->fill(matrix.read(&copy));
    });
  return packed;
}

void MatrixPacker::finish() {
  parallel_for(jobs_.size(), [&](std::size_t i) { jobs_[i](); });
  jobs_.clear();
}

}  // namespace shoal::lm::cpu
