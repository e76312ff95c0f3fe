// Migration plan: who builds which child after a resampling, and who sends which parent to whom. Pure data, computed
// alike on every rank without communication; executing it is the run loop's job.
// Idea: greedy surplus-to-deficit matching of LibBi and of OpenMC's fission bank, with one copy per destination as in
// ParticleDA; particles stay where they are unless their rank has more than it may hold, and on their node if possible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shoal/ids.hpp"
#include "smc/transport.hpp"

namespace shoal::cluster {

/// How many children leave and reach each rank.
struct Flows {
  std::vector<std::uint32_t> leave_within, leave_node;    ///< for ranks of the same node / for others
  std::vector<std::uint32_t> arrive_within, arrive_node;  ///< from ranks of the same node / from others
};

/// No rank holds more than smc::rank_capacity afterwards. Attains both lower bounds that the capacities allow:
/// children that change rank  = sum over ranks of (load - capacity)+,
/// children that change node  = sum over nodes of (load - capacity)+.
/// Ranks receive up to their even share, and more only where that keeps children on their node. No rank both sends and
/// receives. O(P log P).
/// @param loads children whose parents live on each rank
/// @param nodes node of each rank, any numbers
Flows plan_flows(std::span<const std::uint32_t> loads, std::span<const int> nodes, double spare);

/// Largest families leave first, whole, so that few distinct states travel, and first of all those that leave the node;
/// pairs are matched in rank order, so that most are neighbours. Messages <= sending ranks + receiving ranks - 1.
/// O(N + P log P + states sent * log N).
/// @param ancestors parent of each child, sorted
/// @param owners    rank of each parent
/// @param nodes     node of each rank
smc::MigrationPlan plan_migration(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                  std::span<const int> nodes, double spare);

}  // namespace shoal::cluster
