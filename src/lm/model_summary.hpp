// What a checkpoint is and takes, by its configuration and the header of its weights alone.
#pragma once

#include <filesystem>
#include <string>

#include "lm/config.hpp"
#include "lm/safetensors.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm {

/// @param id as the user named the model @param dtype, kv_dtype as in load_model
/// @throws ModelError
ModelSummary summarize(std::string id, const std::filesystem::path& folder, const TransformerConfig& config,
                       const Safetensors& weights, DType dtype, KvDType kv_dtype = KvDType::automatic);

std::string type_name(DType dtype);

}  // namespace shoal::lm
