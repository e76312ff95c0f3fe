#include "agent/load_together.hpp"

#include <algorithm>

#include "base/isa.hpp"
#include "base/parallel.hpp"
#include "cluster/node_file.hpp"

namespace shoal::agent {
namespace {

/// The lowest of all ranks, so that they compute alike where their processors differ.
void agree_on_isa(cluster::World* world) {
  Isa lowest = used_isa();
  for (const std::string& name : world->share(name_of(lowest))) lowest = std::min(lowest, isa_named(name));
  force_isa(lowest);
}

}  // namespace

std::shared_ptr<const LanguageModel> load_together(cluster::World* world, const std::string& source,
                                                   LoadOptions options) {
  agree_on_isa(world);
  const cluster::NodeFile file(world);
  options.node = file.share();
  // The node's cores are all free now, also those that the run will leave.
  const int workers = worker_threads();
  set_worker_threads(std::max(1, world->cores_on_node() / world->ranks_on_node()));
  try {
    auto model = world->together([&] { return load_model(source, options); });
    set_worker_threads(workers);
    return model;
  } catch (...) {
    set_worker_threads(workers);
    throw;
  }
}

}  // namespace shoal::agent
