// Resampling as pure integer functions: weights and random words -> offspring counts -> ancestors. Every rank computes
// the same answer from the same weights.
// Schemes: Douc, Cappe & Moulines 2005; the closed-form systematic comb telescopes to exactly N children.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.hpp"
#include "shoal/ids.hpp"
#include "smc/options.hpp"

namespace shoal::smc {

/// Number of 64-bit random words that a scheme takes for @p n particles.
std::size_t random_words_needed(Resampling scheme, std::size_t n);

/// The words for the resampling after batch @p batch.
std::vector<std::uint64_t> resampling_words(Resampling scheme, std::size_t n, RandomKey key, std::uint32_t batch);

/// Children of each particle; they sum to N, and each has mean N q[i] / Q.
/// systematic: within 1 of the mean. stratified: within 2. residual: at least floor(mean). multinomial: independent.
/// @param q integer weights, not all zero, sum below 2^63 + 1
std::vector<std::uint32_t> offspring_counts(Resampling scheme, std::span<const std::uint64_t> q,
                                            std::span<const std::uint64_t> words);

/// Parent of each child; children are sorted by parent.
std::vector<LogicalId> ancestors_of(std::span<const std::uint32_t> offspring);

}  // namespace shoal::smc
