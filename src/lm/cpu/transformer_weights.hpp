// TransformerWeights: a checkpoint's weights as the forward pass uses them.
#pragma once

#include <cstdint>
#include <vector>

#include "lm/config.hpp"
#include "lm/cpu/matmul.hpp"
#include "lm/safetensors.hpp"

namespace shoal::lm::cpu {

struct NormWeights {
  std::vector<float> weight;  ///< empty if there is no such norm
  std::vector<float> bias;    ///< of a LayerNorm
};

struct Linear {
  PackedMatrixPtr matrix;
  std::vector<float> bias;  ///< empty if there is none
};

struct Layer {
  NormWeights attention_norm, mlp_norm;              ///< before
  NormWeights after_attention_norm, after_mlp_norm;  ///< of what they add
  std::vector<float> query_norm, key_norm;           ///< empty if there are none
  Linear query_key_value, output, up, down;          ///< up: gate and up one after the other, where there is a gate
};

struct TransformerWeights {
  const Tensor* embedding = nullptr;
  const Tensor* positions = nullptr;  ///< null if they are not learned
  std::vector<Layer> layers;
  NormWeights final_norm;
  Linear head;
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;
};

/// @param weights must outlive the result
/// @throws ModelError naming a tensor that is missing or has another shape
TransformerWeights read_weights(const TransformerConfig& config, const Safetensors& weights, MatrixPacker packer);

}  // namespace shoal::lm::cpu
