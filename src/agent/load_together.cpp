#include "agent/load_together.hpp"

#include <algorithm>

#include "base/parallel.hpp"
#include "cluster/node_file.hpp"

namespace shoal::agent {

std::shared_ptr<const LanguageModel> load_together(cluster::World* world, const std::string& source,
                                                   LoadOptions options) {
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
