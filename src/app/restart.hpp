// What ties a checkpoint to its run: everything that changes the result.
#pragma once

#include <span>

#include "app/generate_options.hpp"
#include "shoal/language_model.hpp"
#include "trace/run_identity.hpp"

namespace shoal::app {

/// The part that is known before the model is loaded; files by their content.
/// @throws UsageError if one of them cannot be read
trace::RunIdentity identity_of(const GenerateOptions& options);
/// The rest.
trace::RunIdentity identity_of(const LanguageModel& model, std::span<const TokenId> prompt);

}  // namespace shoal::app
