// Migration plan: who builds which child after a resampling, and who sends which parent to whom. Pure data, computed
// alike on every rank without communication; executing it is the transport's job.
// Idea: greedy surplus-to-deficit matching of LibBi and of OpenMC's fission bank, with one copy per destination as in
// ParticleDA; particles stay where they are unless their rank has more than its even share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shoal/ids.hpp"
#include "smc/transport.hpp"

namespace shoal::cluster {

/// One parent's state on its way; however many of its children the receiver builds.
struct Transfer {
  LogicalId parent;
  Rank from;
  Rank to;
};

struct MigrationPlan {
  std::vector<Rank> owners;         ///< of every child
  std::vector<Transfer> transfers;  ///< grouped by sender, then receiver; each (parent, to) once
  smc::MigrationStats stats;        ///< without bytes, which only the execution knows
};

/// Children per rank that differ by at most one. The ranks that get one more are chosen so that the fewest children
/// move: first those where it saves a move, those that it balances exactly before all others.
/// @param loads children whose parents live on each rank
std::vector<std::uint32_t> even_shares(std::span<const std::uint32_t> loads);

/// A rank whose parents have more children than its share keeps that many; the others' children are built elsewhere.
/// moved = sum of (load - share)+, below which no plan can balance; messages <= surplus ranks + deficit ranks - 1.
/// Largest families leave first, whole, so that few distinct states travel; pairs are matched in rank order, so that
/// most are neighbours. O(N + P + states sent * log N).
/// @param ancestors parent of each child, sorted
/// @param owners    rank of each parent
MigrationPlan plan_migration(std::span<const LogicalId> ancestors, std::span<const Rank> owners, int ranks);

/// The children that @p rank builds, by child.
std::vector<smc::Birth> births_on(Rank rank, std::span<const LogicalId> ancestors, std::span<const Rank> owners);

}  // namespace shoal::cluster
