#include "lm/cpu/int8_matrix.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/parallel.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/panels.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int word_inputs = 4;

template <class T>
class Int8Matrix final : public PackedMatrix {
 public:
  Int8Matrix(int outputs, int inputs, std::shared_ptr<Int8Rows> rows)
      : outputs_(outputs), inputs_(inputs), panels_(outputs, inputs / word_inputs), rows_(std::move(rows)) {
    SHOAL_EXPECT(inputs % 16 == 0);
  }

  [[nodiscard]] std::size_t bytes() const override {
    return panels_.count() * panels_.size() * sizeof(std::uint32_t) +
           static_cast<std::size_t>(outputs_) * (sizeof(float) + sizeof(std::int32_t));
  }

  void multiply(const void* x, int rows, float* y) const override {
    if (rows == 0) return;
    round_rows(static_cast<const T*>(x), static_cast<std::size_t>(rows));
    panels_.for_each(words(), reinterpret_cast<const std::uint32_t*>(rows_->values.data()), rows, y, products_.parts,
                     [&](int row, int output, const PanelProduct& product) {
                       products_.int8(product, {.of_rows = rows_->scales.data() + row,
                                                .of_outputs = scales_ + output,
                                                .offsets = offsets_ + output});
                     });
  }

  /// The panels, then the scales, then the offsets.
  void place(std::shared_ptr<std::byte[]> data) override {
    data_ = std::move(data);
    scales_ = reinterpret_cast<float*>(words() + panels_.count() * panels_.size());
    offsets_ = reinterpret_cast<std::int32_t*>(scales_ + outputs_);
  }

  void fill(const MatrixView& matrix) override {
    parallel_for(panels_.count(), [&](std::size_t panel) {
      AlignedVector<std::uint8_t> row(static_cast<std::size_t>(inputs_));
      for (int i = 0; i < panels_.outputs_of(panel); ++i) {
        round_weights(matrix, panel * panel_outputs + static_cast<std::size_t>(i), row);
        std::uint32_t* to = words() + panel * panels_.size() + i;
        for (int k = 0; k < inputs_; k += word_inputs, to += panel_outputs)
          std::memcpy(to, &row[static_cast<std::size_t>(k)], word_inputs);
      }
    });
  }

 private:
  [[nodiscard]] std::uint32_t* words() const { return reinterpret_cast<std::uint32_t*>(data_.get()); }

  /// Fills the output's scale and offset, too.
  void round_weights(const MatrixView& matrix, std::size_t output, std::span<std::uint8_t> row) {
    const std::size_t first = output * row.size();
    scales_[output] =
        matrix.type == OperandType::f32
            ? kernels<float>().round_row(static_cast<const float*>(matrix.data) + first, inputs_, row.data())
            : kernels<Bf16>().round_row(static_cast<const Bf16*>(matrix.data) + first, inputs_, row.data());
    std::int32_t sum = 0;
    for (std::uint8_t& value : row) {
      value = static_cast<std::uint8_t>(value - 128);  // the weights themselves are signed
      sum += static_cast<std::int8_t>(value);
    }
    offsets_[output] = 128 * sum;
  }

  void round_rows(const T* x, std::size_t rows) const {
    const auto width = static_cast<std::size_t>(inputs_);
    rows_->values.resize(std::max(rows_->values.size(), rows * width));
    rows_->scales.resize(std::max(rows_->scales.size(), rows));
    parallel_for_short(rows, [&](std::size_t r) {
      rows_->scales[r] = kernels<T>().round_row(x + r * width, inputs_, rows_->values.data() + r * width);
    });
  }

  int outputs_;
  int inputs_;
  Panels panels_;
  PanelProducts products_ = panel_products();
  std::shared_ptr<Int8Rows> rows_;
  std::shared_ptr<std::byte[]> data_;
  float* scales_ = nullptr;          ///< by output
  std::int32_t* offsets_ = nullptr;  ///< 128 times the sum of its weights
};

}  // namespace

std::unique_ptr<PackedMatrix> make_int8_matrix(int outputs, int inputs, OperandType type,
                                               std::shared_ptr<Int8Rows> rows) {
  if (type == OperandType::bf16) return std::make_unique<Int8Matrix<Bf16>>(outputs, inputs, std::move(rows));
  return std::make_unique<Int8Matrix<float>>(outputs, inputs, std::move(rows));
}

}  // namespace shoal::lm::cpu
