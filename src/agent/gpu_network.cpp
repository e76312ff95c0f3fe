#include "agent/gpu_network.hpp"

#include <algorithm>

#include "lm/cuda/plugin.hpp"
#include "shoal/error.hpp"

namespace shoal::agent {
namespace {

/// Joining takes NCCL seconds on large clusters.
constexpr double join_patience_s = 120.0;

/// What went wrong, if something did.
template <class Action>
std::string attempt(const Action& action) {
  try {
    action();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

lm::GpuLinkId id_from(const std::string& bytes) {
  lm::GpuLinkId id{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), id.size()), id.begin());
  return id;
}

}  // namespace

GpuNetwork link_gpus(cluster::World* world, const DeviceChoice& choice) {
  if (world->size() == 1) return {};
  const std::string over_mpi = "ranks exchange particles over MPI";
  if (choice.device.kind == Device::Kind::cpu) return {nullptr, over_mpi};
  if (!choice.gpu_for_each) return {nullptr, over_mpi + " (some share a GPU, and NCCL needs one for each)"};

  GpuNetwork network{nullptr, "ranks exchange particles over NCCL, from GPU to GPU"};
  std::string id;
  std::string problem = attempt([&] {
    if (world->rank() != Rank{0}) return;
    const lm::GpuLinkId made = lm::make_gpu_link_id();
    id.assign(made.begin(), made.end());
  });
  id = world->broadcast(id);
  if (!id.empty())
    problem = attempt([&] {
      network.links =
          lm::join_gpu_links(id_from(id), world->rank().value(), world->size(), choice.device.gpu, join_patience_s);
    });
  const auto problems = world->share(problem);
  const auto first = std::find_if(problems.begin(), problems.end(), [](const std::string& p) { return !p.empty(); });
  if (first == problems.end()) return network;
  return {nullptr, over_mpi + ": NCCL does not work here: " + *first, true};
}

}  // namespace shoal::agent
