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
/// pairs are matched in rank order, so that most are neighbours. Messages <= ranks that give children away + ranks that
/// get some - 1.
/// A parent that goes to many ranks is relayed by those of them that have nothing else to do until it comes: no child
/// of a parent of their own, nothing else to receive. It goes once to each node that has such a rank, and between the
/// nodes as in each node along a binary tree, since a card shares its rate among all that it sends. A rank that decodes
/// would relay between tokens only, later than the owner could have sent. Relays replace messages, and add none.
/// O(N + P log P + states sent * log N).
/// @param ancestors parent of each child, sorted
/// @param owners    rank of each parent
/// @param nodes     node of each rank
smc::MigrationPlan plan_migration(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                  std::span<const int> nodes, double spare);

}  // namespace shoal::cluster
