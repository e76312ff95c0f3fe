// How particles migrate, chosen once per run; the bits of the answer do not depend on it.
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

/// smc::Options::spare. On the CPU a transformer's token step takes longer with every particle, so that all wait for
/// the fullest rank at every token until the next resampling, while particles travel beside the decoding: no spare
/// places. A GPU's step takes nearly as long with some particles more, and a tabular model's is shorter than any
/// message: as many places as the ranks' numbers of children differ by chance, which is the square root of their share
/// where resampling is due (ESS half of N). This leaves a fifth of the moves.
/// @param share particles per rank
double choose_spare(const ModelSummary& model, double share);

}  // namespace shoal::cluster
