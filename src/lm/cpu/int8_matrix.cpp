#include "lm/cpu/int8_matrix.hpp"

#include <algorithm>
#include <vector>

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
  Int8Matrix(const MatrixView& matrix, std::shared_ptr<Int8Products> shared)
      : outputs_(matrix.outputs), inputs_(matrix.inputs), shared_(std::move(shared)) {
    scales_.resize(static_cast<std::size_t>(outputs_));
    offsets_.resize(static_cast<std::size_t>(outputs_));
    for (int first = 0; first < outputs_; first += block_outputs) add_block(matrix, first);
  }

  [[nodiscard]] std::size_t bytes() const override {
    std::size_t sum = scales_.size() * sizeof(float) + offsets_.size() * sizeof(std::int32_t);
    for (const Block& block : blocks_) sum += block.product->packed().get_size();
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

 private:
  void add_block(const MatrixView& matrix, int first) {
    Block block{first, std::min(block_outputs, outputs_ - first), nullptr, {}};
    auto& product = shared_->by_shape[{block.outputs, inputs_}];
    if (!product)
      product = std::make_shared<OneDnnProduct>(
          block.outputs, inputs_, ProductTypes{memory::data_type::u8, memory::data_type::s8, memory::data_type::s32});
    block.product = product;
    block.weights = product->pack(round_weights(matrix, block).data(), memory::data_type::s8);
    blocks_.push_back(std::move(block));
  }

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
    parallel_for(static_cast<std::size_t>(rows), [&](std::size_t r) {
      shared_->row_scales[r] = kernels<T>().round_row(x + r * width, inputs_, shared_->operand.data() + r * width);
    });
  }

  void scale_sums(const Block& block, int rows, float* y) const {
    const auto width = static_cast<std::size_t>(block.outputs);
    parallel_for(static_cast<std::size_t>(rows), [&](std::size_t r) {
      kernels<T>().scale_sums({.sums = shared_->sums.data() + r * width,
                               .offsets = offsets_.data() + block.first,
                               .scales = scales_.data() + block.first,
                               .row_scale = shared_->row_scales[r],
                               .outputs = block.outputs,
                               .y = y + r * static_cast<std::size_t>(outputs_) + block.first});
    });
  }

  int outputs_;
  int inputs_;
  std::shared_ptr<Int8Products> shared_;
  std::vector<float> scales_;          ///< by output
  std::vector<std::int32_t> offsets_;  ///< 128 times the sum of its weights
  std::vector<Block> blocks_;
};

}  // namespace

bool has_vnni() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

PackedMatrixPtr pack_int8(const MatrixView& matrix, OperandType type, std::shared_ptr<Int8Products> products) {
  if (type == OperandType::bf16) return std::make_unique<Int8Matrix<Bf16>>(matrix, std::move(products));
  return std::make_unique<Int8Matrix<float>>(matrix, std::move(products));
}

}  // namespace shoal::lm::cpu
