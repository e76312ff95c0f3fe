// The matrix products of one token step, alone: the roofline of a decoder.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/stopwatch.hpp"
#include "lm/config.hpp"
#include "lm/cpu/matmul.hpp"
#include "lm/weight_memory.hpp"

namespace shoal::bench {

/// Every layer's, then the head's, each with weights of its own.
class ProductsOfAStep {
 public:
  ProductsOfAStep(const lm::TransformerConfig& c, const std::string& dtype, int max_rows,
                  lm::WeightMemory memory = lm::WeightMemory())
      : packer_(dtype == "f32" ? lm::cpu::OperandType::f32 : lm::cpu::OperandType::bf16,
                dtype == "int8" ? lm::cpu::WeightFormat::int8 : lm::cpu::WeightFormat::as_operands, std::move(memory)) {
    for (int i = 0; i < c.layers; ++i) {
      add(c.query_size() + 2 * c.kv_size(), c.hidden_size);
      add(c.hidden_size, c.query_size());
      add(c.up_size(), c.hidden_size);
      add(c.hidden_size, c.intermediate_size);
    }
    add(c.vocabulary_size, c.hidden_size);
    packer_.finish();
    const auto rows = static_cast<std::size_t>(max_rows);
    x_.assign(rows * static_cast<std::size_t>(std::max({c.hidden_size, c.intermediate_size, c.query_size()})), 0.01F);
    y_.resize(rows *
              static_cast<std::size_t>(std::max({c.vocabulary_size, c.up_size(), c.query_size() + 2 * c.kv_size()})));
  }

  struct Seconds {
    double best, mean;
  };
  /// For one step, over @p repetitions.
  Seconds measure(int rows, int repetitions) {
    Seconds step{1e300, 0.0};
    for (int i = 0; i <= repetitions; ++i) {
      const Stopwatch watch;
      for (const auto& matrix : matrices_) matrix->multiply(x_.data(), rows, y_.data());
      if (i == 0) continue;  // compiles
      const double seconds = watch.seconds();
      step.best = std::min(step.best, seconds);
      step.mean += seconds / repetitions;
    }
    return step;
  }
  [[nodiscard]] double flops(int rows) const { return 2.0 * rows * static_cast<double>(elements_); }

 private:
  void add(int outputs, int inputs) {
    const auto n = static_cast<std::size_t>(outputs) * static_cast<std::size_t>(inputs);
    if (weights_.size() < n) weights_.resize(n, 0.01F);
    matrices_.push_back(
        packer_.pack_later({outputs, inputs, [this, outputs, inputs](auto*) {
                              return lm::cpu::MatrixView{outputs, inputs, lm::cpu::OperandType::f32, weights_.data()};
                            }}));
    elements_ += n;
  }

  lm::cpu::MatrixPacker packer_;
  std::vector<lm::cpu::PackedMatrixPtr> matrices_;
  std::vector<float> weights_, x_, y_;
  std::size_t elements_ = 0;
};

}  // namespace shoal::bench
