// What a model may have that the GPU backend does not compute: such models run on CPUs.
#pragma once

#include <string>

#include "lm/config.hpp"

namespace shoal::lm {

/// As a user reads it, e.g. "soft-capped logits"; empty if a GPU computes the whole model.
std::string beyond_gpus(const TransformerConfig& config);
/// Of a model as load_model names it; a tabular model has no such part. @throws ModelError
std::string beyond_gpus(const std::string& model);

}  // namespace shoal::lm
