#include "agent/generation.hpp"

#include "cluster/mpi_transport.hpp"

namespace shoal::agent {

smc::RunResult generate(cluster::World& world, const LanguageModel& model, std::span<const TokenId> prompt,
                        std::span<const PotentialPtr> potentials, const smc::Options& options,
                        std::optional<double> timeout_s, const smc::Attachments& attachments) {
  cluster::MpiTransport transport(world, timeout_s);
  return smc::run(model, prompt, potentials, options, transport, attachments);
}

}  // namespace shoal::agent
