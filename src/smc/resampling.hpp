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
#include "smc/weights.hpp"

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

// The same for a part of the population, from what lies before it: parts side by side give what the whole gives.

/// Consecutive particles, those of a rank or all.
struct Stretch {
  std::span<const std::uint64_t> q;
  Uint128 before = 0;         ///< sum of q over all earlier particles
  Uint128 total = 0;          ///< over all particles
  std::size_t particles = 0;  ///< in all
};

/// For all schemes but residual. systematic and stratified take O(particles of the stretch); multinomial draws the
/// words of all particles and keeps those that fall into the stretch.
std::vector<std::uint32_t> offspring_of_stretch(Resampling scheme, const Stretch& stretch, RandomKey key,
                                                std::uint32_t batch);

/// Residual resampling in two steps: what each particle gets for sure, and a stretch of remainders.
struct ResidualShares {
  std::vector<std::uint32_t> counts;
  std::vector<std::uint64_t> remainders;
};
ResidualShares residual_shares(const Stretch& stretch);
/// Adds the @p left children that all sure ones leave of the N.
/// @param remainders whose total is left * Q
void add_residual_draws(const Stretch& remainders, std::size_t left, RandomKey key, std::uint32_t batch,
                        std::vector<std::uint32_t>* counts);

/// Parent of each child; children are sorted by parent.
std::vector<LogicalId> ancestors_of(std::span<const std::uint32_t> offspring);

}  // namespace shoal::smc
