#include "agent/generation.hpp"

#include "cluster/nccl_transport.hpp"

namespace shoal::agent {

smc::RunResult generate(cluster::World& world, lm::GpuLinks* gpus, const LanguageModel& model,
                        std::span<const TokenId> prompt, std::span<const PotentialPtr> potentials,
                        const smc::Options& options, std::optional<double> timeout_s,
                        const smc::Attachments& attachments) {
  const auto transport = cluster::make_transport(world, timeout_s, gpus);
  return smc::run(model, prompt, potentials, options, *transport, attachments);
}

}  // namespace shoal::agent
