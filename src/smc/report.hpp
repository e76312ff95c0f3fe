// What the run loop hands out: one record per batch, and the result. Gathered on rank 0.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "smc/decoder.hpp"
#include "smc/population.hpp"
#include "smc/run.hpp"
#include "smc/transport.hpp"
#include "smc/weights.hpp"

namespace shoal::smc {

/// Sizes of a batch record.
struct BatchShape {
  std::size_t particles = 0;
  std::size_t potentials = 0;
  std::size_t batch_size = 0;
  TokenId end_token{-1};  ///< recorded where a particle ended
};

/// Fills token, finished, potential and unique_contexts of @p record on rank 0 from every rank's particles.
void gather_batch(Transport* transport, const Population& population, std::uint64_t distinct_contexts,
                  const BatchShape& shape, BatchRecord* record);

/// One rank's share of a RunState.
std::string pack_share(const Population& population, std::uint64_t particle_tokens, const Decoder& decoder);
/// Puts the shares of all ranks together: particles, and the tokens they drew in addition to those in @p state.
void unpack_shares(std::span<const std::string> shares, std::size_t particles, RunState* state);

/// Every particle in logical order on rank 0, empty elsewhere. @param log_weights of all particles
std::vector<ParticleResult> gather_particles(Transport* transport, const Population& population,
                                             std::span<const double> log_weights);

/// Distinct texts with positive probability, by falling probability, ties by text.
std::vector<PosteriorEntry> posterior_of(std::span<const ParticleResult> particles, const IntegerWeights& weights);

/// The most probable text among the finished particles, or among all if none is finished; empty if extinct.
std::string best_text(std::span<const ParticleResult> particles, const IntegerWeights& weights);

}  // namespace shoal::smc
