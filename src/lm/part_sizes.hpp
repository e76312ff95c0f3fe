// Sizes of a transformer's parts, by its configuration alone: what it will take to load it, before it is loaded.
#pragma once

#include <cstddef>
#include <vector>

#include "lm/config.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm {

/// Embedding, attention, mlp, head.
/// @param dtype of the products: f32, bf16 or int8 @param stored_bytes of one number of the checkpoint's embedding
std::vector<ModelPart> part_sizes(const TransformerConfig& config, DType dtype, std::size_t stored_bytes);

}  // namespace shoal::lm
