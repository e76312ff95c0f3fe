#include "cluster/links.hpp"

#include <algorithm>

#include "base/cores.hpp"

namespace shoal::cluster {
namespace {

/// Cores that the node's ranks may use together: a launcher may have bound each to cores of its own.
Cores cores_of(const Communicator& node) {
  Cores cores = available_cores();
  check(MPI_Allreduce(MPI_IN_PLACE, cores.mask.data(), static_cast<int>(cores.mask.size()), MPI_UINT64_T, MPI_BOR,
                      node.get()),
        "MPI_Allreduce");
  check(MPI_Allreduce(MPI_IN_PLACE, &cores.quota, 1, MPI_DOUBLE, MPI_MAX, node.get()), "MPI_Allreduce");
  return cores;
}

/// Nodes are numbered by their first ranks.
std::vector<int> nodes_of(const Communicator& all, const Communicator& node) {
  int mine = all.rank();
  check(MPI_Bcast(&mine, 1, MPI_INT, 0, node.get()), "MPI_Bcast");
  std::vector<int> nodes(static_cast<std::size_t>(all.size()));
  check(MPI_Allgather(&mine, 1, MPI_INT, nodes.data(), 1, MPI_INT, all.get()), "MPI_Allgather");
  return nodes;
}

}  // namespace

Links::Links() {
  nodes = nodes_of(agreements, node);
  ranks_on_node = node.size();
  rank_on_node = node.rank();
  cores_on_node = cores_of(node).usable();
  idle = ranks_on_node > cores_on_node ? Idle::nap : Idle::spin;
}

Links::~Links() {
  if (!Session::alive()) return;
  const Pause pause(Idle::nap);
  try {
    while (!std::all_of(adopted_.begin(), adopted_.end(), [](Message& message) { return message.done(); }))
      pause.rest();
  } catch (const std::exception&) {
    adopted_.clear();
  }
}

double Links::patience_for(ExitCode code) const {
  constexpr double shortest_s = 2.0, between_ranks_s = 0.5;
  return code == ExitCode::lost ? std::min(shortest_s + between_ranks_s * rank.value(), patience_s) : patience_s;
}

void Links::adopt(Message message) {
  adopted_.push_back(std::move(message));
  push_adopted();
}

void Links::push_adopted() {
  std::erase_if(adopted_, [](Message& each) { return each.done(); });
}

}  // namespace shoal::cluster
