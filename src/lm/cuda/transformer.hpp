// The forward pass on a GPU.
#pragma once

#include <memory>
#include <string>

#include "lm/transformer.hpp"

namespace shoal::lm::cuda {

/// Why CUDA cannot use a GPU; empty if it can.
std::string problem_of(int gpu);

/// On options.device.
/// @throws ModelError
std::unique_ptr<Transformer> load_transformer(const TransformerConfig& config,
                                              std::shared_ptr<const Safetensors> weights, const LoadOptions& options);

}  // namespace shoal::lm::cuda
