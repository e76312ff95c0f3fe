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

namespace shoal::smc {

/// Sizes of a batch record.
struct BatchShape {
  std::size_t particles = 0;
  std::size_t potentials = 0;
  std::size_t batch_size = 0;
  TokenId end_token{-1};  ///< recorded where a particle ended
};

/// Fills token, finished and potential of @p record on rank 0 from every rank's particles.
void gather_batch(Transport* transport, const Population& population, const BatchShape& shape, BatchRecord* record);

/// One rank's share of a RunState.
std::string pack_share(const Population& population, std::uint64_t particle_tokens, const Decoder& decoder);
/// Puts the shares of all ranks together: histories, and the tokens they drew in addition to those in @p state.
void unpack_shares(std::span<const std::string> shares, std::size_t particles, RunState* state);

/// Every particle in logical order on rank 0, empty elsewhere. The population's memory is free before rank 0 lists.
/// @param log_weights of all particles
std::vector<ParticleResult> gather_particles(Transport* transport, Population population,
                                             std::span<const double> log_weights);

/// Each history once, with its number of particles, on rank 0; empty elsewhere. By falling weight, then by tokens.
struct HistoryList {
  std::vector<ParticleResult> histories;
  std::vector<std::uint64_t> weight;  ///< sum of q over the particles
};
/// As gather_particles. @param q of one particle, by history of @p population
HistoryList gather_histories(Transport* transport, Population population, std::span<const std::uint64_t> q);

/// Distinct texts with positive probability, by falling probability, ties by text.
/// @param weight integer weight of each entry of @p particles
std::vector<PosteriorEntry> posterior_of(std::span<const ParticleResult> particles,
                                         std::span<const std::uint64_t> weight);

/// The most probable text among the finished particles, or among all if none is finished; empty if extinct.
std::string best_text(std::span<const ParticleResult> particles, std::span<const std::uint64_t> weight);

}  // namespace shoal::smc
