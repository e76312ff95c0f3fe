// How many contexts the particles of real jobs stand on, and what that saves.
#pragma once

#include <memory>
#include <vector>

#include "shoal/language_model.hpp"

namespace shoal::bench {

/// One row per job and number of particles: distinct contexts per token step, on the average, and particle-tokens per
/// second, also as a multiple of what one particle makes.
void report_jobs(const LanguageModel& model, const std::vector<int>& particles);

/// What a run whose particles all draw the same tokens costs, as a multiple of what one particle costs. Runs of either
/// kind take turns; the medians are compared.
/// @param prompt tokens, drawn evenly from those of the model
void report_shared_text(const LanguageModel& model, int prompt, int tokens, const std::vector<int>& particles);

}  // namespace shoal::bench
