// Whether growing particles travel with their key/value blocks or as tokens: once per run, for both give the same bits.
#pragma once

#include "cluster/world.hpp"
#include "lm/cuda/gpu_links.hpp"
#include "shoal/language_model.hpp"
#include "smc/options.hpp"

namespace shoal::cluster {

/// Key/value blocks, if those of a token arrive before it could be computed: bandwidth > kappa F / (2 Theta), with
/// kappa bytes per token, F operations per second and 2 Theta operations per token.
/// @param bandwidth    bytes per second
/// @param tokens_per_s F / (2 Theta), as measured
smc::Migrate faster_migration(double bandwidth, std::uint64_t bytes_per_token, double tokens_per_s);

/// Collective. Measures the slowest link between ranks and the fastest rank's prefill, in some milliseconds, unless
/// there is nothing to choose. Equal on all ranks.
/// @param gpus over which blocks would travel; null: over MPI
smc::Migrate choose_migration(World& world, const LanguageModel& model, lm::GpuLinks* gpus);

}  // namespace shoal::cluster
