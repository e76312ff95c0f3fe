// The forward pass on a GPU.
#pragma once

#include <memory>

#include "lm/transformer.hpp"

namespace shoal::lm::cuda {

/// @param gpu its number among those that the process sees
/// @throws ModelError
std::unique_ptr<Transformer> load_transformer(const TransformerConfig& config,
                                              std::shared_ptr<const Safetensors> weights, DType dtype, int gpu);

}  // namespace shoal::lm::cuda
