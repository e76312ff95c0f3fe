#include "lm/cpu/int8_matrix.hpp"

#include <algorithm>
#include <vector>

#include "base/isa.hpp"
#include "base/parallel.hpp"
#include "lm/cpu/kernels.hpp"

namespace shoal::lm::cpu {
namespace {

using dnnl::memory;

/// Outputs computed at a time: their sums stay in the cache until they are scaled.
constexpr int block_outputs = 4096;

/// Some consecutive outputs of a matrix.
struct Block {
  int first = 0;
  int outputs = 0;
  std::shared_ptr<OneDnnProduct> product;
  memory weights;
};

template <class T>
class Int8Matrix final : public PackedMatrix {
 public:
  Int8Matrix(int outputs, int inputs, std::shared_ptr<Int8Products> shared)
      : outputs_(outputs), inputs_(inputs), shared_(std::move(shared)) {
    for (int first = 0; first < outputs_; first += block_outputs) add_block(first);
  }

  [[nodiscard]] std::size_t bytes() const override {
    std::size_t sum = static_cast<std::size_t>(outputs_) * (sizeof(float) + sizeof(std::int32_t));
    for (const Block& block : blocks_) sum += space_of(block);
    return sum;
  }

  void multiply(const void* x, int rows, float* y) const override {
    if (rows == 0) return;
    round_rows(static_cast<const T*>(x), rows);
    shared_->sums.resize(std::max(shared_->sums.size(), static_cast<std::size_t>(rows) * block_outputs));
    for (const Block& block : blocks_) {
      block.product->multiply(shared_->operand.data(), rows, block.weights, shared_->sums.data());
      scale_sums(block, rows, y);
    }
  }

  /// The blocks, then the scales, then the offsets.
  void place(std::shared_ptr<std::byte[]> data) override {
    data_ = std::move(data);
    std::byte* at = data_.get();
    for (Block& block : blocks_) {
      block.weights = block.product->weights_at(at);
      at += space_of(block);
    }
    scales_ = reinterpret_cast<float*>(at);
    offsets_ = reinterpret_cast<std::int32_t*>(scales_ + outputs_);
  }

  void fill(const MatrixView& matrix) override {
    for (const Block& block : blocks_)
      block.product->pack(round_weights(matrix, block).data(), memory::data_type::s8, block.weights);
  }

 private:
  void add_block(int first) {
    Block block{first, std::min(block_outputs, outputs_ - first), nullptr, {}};
    auto& product = shared_->by_shape[{block.outputs, inputs_}];
    if (!product)
      product = std::make_shared<OneDnnProduct>(
          block.outputs, inputs_, ProductTypes{memory::data_type::u8, memory::data_type::s8, memory::data_type::s32});
    block.product = product;
    blocks_.push_back(std::move(block));
  }

  /// Whole cache lines.
  static std::size_t space_of(const Block& block) { return (block.product->packed().get_size() + 63) / 64 * 64; }

  /// Fills the outputs' scales and offsets.
  AlignedVector<std::uint8_t> round_weights(const MatrixView& matrix, const Block& block) {
    const auto width = static_cast<std::size_t>(inputs_);
    AlignedVector<std::uint8_t> rounded(static_cast<std::size_t>(block.outputs) * width);
    parallel_for(static_cast<std::size_t>(block.outputs), [&](std::size_t i) {
      const std::size_t output = static_cast<std::size_t>(block.first) + i;
      std::uint8_t* row = rounded.data() + i * width;
      scales_[output] =
          matrix.type == OperandType::f32
              ? kernels<float>().round_row(static_cast<const float*>(matrix.data) + output * width, inputs_, row)
              : kernels<Bf16>().round_row(static_cast<const Bf16*>(matrix.data) + output * width, inputs_, row);
      std::int32_t sum = 0;
      for (std::size_t k = 0; k < width; ++k) {
        row[k] = static_cast<std::uint8_t>(row[k] - 128);  // the weights themselves are signed
        sum += static_cast<std::int8_t>(row[k]);
      }
      offsets_[output] = 128 * sum;
    });
    return rounded;
  }

  void round_rows(const T* x, int rows) const {
    const auto width = static_cast<std::size_t>(inputs_);
    shared_->operand.resize(std::max(shared_->operand.size(), static_cast<std::size_t>(rows) * width));
    shared_->row_scales.resize(std::max(shared_->row_scales.size(), static_cast<std::size_t>(rows)));
    parallel_for_short(static_cast<std::size_t>(rows), [&](std::size_t r) {
      shared_->row_scales[r] = kernels<T>().round_row(x + r * width, inputs_, shared_->operand.data() + r * width);
    });
  }

  void scale_sums(const Block& block, int rows, float* y) const {
    const auto width = static_cast<std::size_t>(block.outputs);
    parallel_for_short(static_cast<std::size_t>(rows), [&](std::size_t r) {
      kernels<T>().scale_sums({.sums = shared_->sums.data() + r * width,
                               .offsets = offsets_ + block.first,
                               .scales = scales_ + block.first,
                               .row_scale = shared_->row_scales[r],
                               .outputs = block.outputs,
                               .y = y + r * static_cast<std::size_t>(outputs_) + block.first});
    });
  }

  int outputs_;
  int inputs_;
  std::shared_ptr<Int8Products> shared_;
  std::vector<Block> blocks_;
  std::shared_ptr<std::byte[]> data_;
  float* scales_ = nullptr;          ///< by output
  std::int32_t* offsets_ = nullptr;  ///< 128 times the sum of its weights
};

}  // namespace

bool has_vnni() { return used_isa() >= Isa::avx512_vnni; }

std::unique_ptr<PackedMatrix> make_int8_matrix(int outputs, int inputs, OperandType type,
                                               std::shared_ptr<Int8Products> products) {
  if (type == OperandType::bf16) return std::make_unique<Int8Matrix<Bf16>>(outputs, inputs, std::move(products));
  return std::make_unique<Int8Matrix<float>>(outputs, inputs, std::move(products));
}

}  // namespace shoal::lm::cpu
