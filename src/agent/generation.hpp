// Generation: one prompt answered by all ranks of a world.
#pragma once

#include <optional>

#include "cluster/world.hpp"
#include "lm/cuda/gpu_links.hpp"
#include "smc/run.hpp"

namespace shoal::agent {

/// smc::run over @p world with rank 0's clock as the deadline, counted from this call.
/// @param gpus from link_gpus, or null
/// @param timeout_s nullopt: no limit
smc::RunResult generate(cluster::World& world, lm::GpuLinks* gpus, const LanguageModel& model,
                        std::span<const TokenId> prompt, std::span<const PotentialPtr> potentials,
                        const smc::Options& options, std::optional<double> timeout_s,
                        const smc::Attachments& attachments);

}  // namespace shoal::agent
