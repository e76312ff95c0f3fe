// Weights and resampling of populations too large for a vector of N on every rank: each rank holds a block of
// consecutive logical ids and knows of the others only a few sums. The same bits as weights.hpp and resampling.hpp
// give. Blocks keep their sizes, so children move to the ranks of their ids: more of them than migration_plan.hpp would
// move, but nobody has to know where each of N particles is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.hpp"
#include "smc/joint_steps.hpp"
#include "smc/options.hpp"
#include "smc/resampling.hpp"
#include "smc/transport.hpp"
#include "smc/weights.hpp"

namespace shoal::smc {

/// q is that of this rank's particles, the sums are over all.
struct BlockWeights : IntegerWeights {
  Uint128 before = 0;  ///< sum of q over the lower ranks
};

/// Makes the sums over this rank's particles those over all. One allreduce. Collective.
void sum_over_ranks(BlockWeights* weights, JointSteps* steps);

struct BlockOffspring {
  std::vector<std::uint32_t> counts;     ///< of this rank's particles
  std::vector<std::size_t> first_child;  ///< by rank: id of the first child of its particles; N at the end
};

/// One allreduce of the ranks' numbers of children; two for residual. Collective.
BlockOffspring block_offspring(Resampling scheme, const BlockWeights& weights, RandomKey key, std::uint32_t batch,
                               JointSteps* steps);

/// Children of consecutive ids, all of particles on one rank and born on another (or the same).
struct ChildRange {
  Rank peer;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Where the children of this rank's particles are born, and where the parents of its own children live: both in the
/// order of the ids, both without communication.
std::vector<ChildRange> children_by_destination(std::span<const std::size_t> first_child, Rank mine);
std::vector<ChildRange> children_by_origin(std::span<const std::size_t> first_child, Rank mine);

}  // namespace shoal::smc
