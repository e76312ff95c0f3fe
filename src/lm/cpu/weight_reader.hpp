// WeightReader: a checkpoint's tensors by name, as vectors of floats or packed for products; counts parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lm/cpu/matmul.hpp"
#include "lm/safetensors.hpp"
#include "lm/tensor_names.hpp"

namespace shoal::lm::cpu {

class WeightReader {
 public:
  WeightReader(const Safetensors& weights, MatrixPacker packer) : weights_(weights), packer_(std::move(packer)) {}

  [[nodiscard]] const Safetensors& file() const { return weights_; }
  /// @throws ModelError if the checkpoint lacks it, or if its shape is another; so do all others
  const Tensor& tensor(const std::string& name, std::vector<std::int64_t> shape);
  std::vector<float> vector(const std::string& name, std::int64_t size) { return tensor(name, {size}).read_all(); }
  /// @param parts all have @p inputs
  PackedMatrixPtr matrix(const std::vector<MatrixPart>& parts, int inputs, MatrixLayout layout);
  PackedMatrixPtr matrix(const Tensor& tensor);
  std::vector<float> biases(const std::vector<MatrixPart>& parts);

  /// The matrices' weights are there when this returns.
  void finish() { packer_.finish(); }

  [[nodiscard]] std::uint64_t parameters() const { return parameters_; }
  [[nodiscard]] std::uint64_t packed_bytes() const { return bytes_; }

 private:
  PackedMatrixPtr pack(MatrixSource source);

  const Safetensors& weights_;
  MatrixPacker packer_;
  std::uint64_t parameters_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace shoal::lm::cpu
