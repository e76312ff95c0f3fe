// How many CPU threads a rank uses.
#pragma once

#include <algorithm>
#include <string>

#include "base/parallel.hpp"
#include "cluster/world.hpp"
#include "shoal/language_model.hpp"

namespace shoal::agent {

/// @p requested, or the node's cores less one shared among its ranks; at least one.
inline int choose_workers(int requested, int cores_on_node, int ranks_on_node) {
  return requested > 0 ? requested : std::max(1, (cores_on_node - 1) / ranks_on_node);
}

/// No more than the rank's share of the node, if waiting threads spin: with more of them than cores each waits out the
/// time slices of the others at every step (measured: 4 ranks with 2 threads each on 2 cores took 28 times as long).
inline int cap_workers(int workers, int cores_on_node, int ranks_on_node) {
  return waiting_workers_spin() ? std::min(workers, std::max(1, cores_on_node / ranks_on_node)) : workers;
}

inline int choose_workers(int requested, const cluster::World& world) {
  const int cores = world.cores_on_node();
  return cap_workers(choose_workers(requested, cores, world.ranks_on_node()), cores, world.ranks_on_node());
}

/// On a GPU workers are micro-batches: @p requested, or 2 per GPU, shared among its ranks, at least one. 0 on the CPU.
inline int choose_micro_batches(int requested, const Device& device) {
  if (device.kind == Device::Kind::cpu) return 0;
  return requested > 0 ? requested : std::max(1, 2 / device.ranks);
}

/// For when fewer are used than were asked for.
inline std::string fewer_workers_note(int requested, int used, const cluster::World& world) {
  return "--workers " + std::to_string(requested) + ": using " + std::to_string(used) +
         " per rank (cores: " + std::to_string(world.cores_on_node()) +
         ", ranks on this node: " + std::to_string(world.ranks_on_node()) +
         ") OMP_WAIT_POLICY=passive permits more threads than cores";
}

}  // namespace shoal::agent
