#include "cluster/links.hpp"

#include <sched.h>

#include <algorithm>
#include <array>

namespace shoal::cluster {
namespace {

/// Cores that at least one of the node's ranks may use.
int cores_of(const Communicator& node) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  sched_getaffinity(0, sizeof mine, &mine);
  cpu_set_t all;
  check(MPI_Allreduce(&mine, &all, sizeof mine, MPI_BYTE, MPI_BOR, node.get()), "MPI_Allreduce");
  return CPU_COUNT(&all);
}

}  // namespace

Links::Links() {
  const Communicator node = Communicator::of_node(agreements.get());
  ranks_on_node = node.size();
  idle = ranks_on_node > cores_of(node) ? Idle::nap : Idle::spin;
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

void Links::adopt(Message message) {
  adopted_.push_back(std::move(message));
  std::erase_if(adopted_, [](Message& each) { return each.done(); });
}

}  // namespace shoal::cluster
