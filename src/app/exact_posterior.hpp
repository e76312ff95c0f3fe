// The exact posterior over texts of a small language, by enumeration of every token sequence.
#pragma once

#include <map>
#include <span>
#include <string>

#include "shoal/language_model.hpp"
#include "shoal/potential.hpp"
#include "smc/options.hpp"

namespace shoal::app {

/// @throws UsageError unless the model is tabular, and the target that of the whole model (no top-k, top-p, min-p,
/// stop)
void check_enumerable(const LanguageModel& model, const smc::Options& options);

/// Normalised: p(x) * prod_k phi_k,complete(x) of every text that ends within max_tokens; several token sequences of
/// one text add up. Prefixes that a potential rules out are not followed.
/// @throws UsageError if there are too many sequences, or none with positive probability
std::map<std::string, double> exact_posterior(const LanguageModel& model, std::span<const TokenId> prompt,
                                              std::span<const PotentialPtr> potentials, const smc::Options& options);

/// 1/2 * sum |a - b|, in [0, 1].
double total_variation(const std::map<std::string, double>& a, const std::map<std::string, double>& b);

}  // namespace shoal::app
