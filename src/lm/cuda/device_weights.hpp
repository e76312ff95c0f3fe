// DeviceWeights: a checkpoint's weights on the GPU as the forward pass uses them.
#pragma once

#include <cstdint>
#include <vector>

#include "lm/config.hpp"
#include "lm/cuda/memory.hpp"
#include "lm/number_formats.hpp"
#include "lm/safetensors.hpp"

namespace shoal::lm::cuda {

/// Of the products' weights. A head whose number of outputs no product in 8 bits takes stays in bf16.
enum class WeightFormat { bf16, int8 };

struct DeviceNorm {
  Array<float> weight;
  Array<float> bias;  ///< of a LayerNorm; else empty
};

/// A product's weights, [outputs, inputs], row-major.
struct DeviceMatrix {
  int outputs = 0;
  int inputs = 0;
  Array<Bf16> bf16;            ///< or, in 8 bits:
  Array<std::int8_t> int8;     ///<
  Array<float> scales;         ///< by output
  const void* data = nullptr;  ///< whichever it is; of another matrix where two share their weights
  Array<float> bias;           ///< empty if there is none
  Array<Bf16> bias_bf16;       ///< the same, for products whose output is bf16

  [[nodiscard]] bool in_8_bits() const { return int8.size() > 0; }
};

struct DeviceLayer {
  DeviceNorm attention_norm, mlp_norm;
  Array<float> query_norm, key_norm;  ///< empty if there are none
  DeviceMatrix query_key_value, output, up, down;
};

struct DeviceWeights {
  Array<Bf16> embedding, positions;
  std::vector<DeviceLayer> layers;
  DeviceNorm final_norm;
  DeviceMatrix head;
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;  ///< on the GPU
};

/// Copies them there.
/// @throws ModelError naming a tensor that is missing or has another shape
DeviceWeights upload_weights(const TransformerConfig& config, const Safetensors& file, WeightFormat format,
                             const Stream& stream);

}  // namespace shoal::lm::cuda
