// The forward pass on a GPU.
#pragma once

#include <memory>
#include <string>

#include "lm/transformer.hpp"

namespace shoal::lm::cuda {

/// Why CUDA cannot use a GPU; empty if it can.
std::string problem_of(int gpu);

/// @param gpu its number among those that the process sees
/// @throws ModelError
std::unique_ptr<Transformer> load_transformer(const TransformerConfig& config,
                                              std::shared_ptr<const Safetensors> weights, DType dtype, int gpu);

}  // namespace shoal::lm::cuda
