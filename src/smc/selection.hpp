// Selection: the steps of a run that concern all particles at once, whichever rank holds them: reweighting, resampling,
// and listing the particles. One seam with two sides that give the same bits:
// In vectors, every rank learns the weight of every particle and plans by itself; particles stay where they are as far
// as the ranks' capacities permit. In blocks, for numbers of particles for which vectors of N cost too much
// (block_resampling.hpp), each rank holds a block of consecutive ids and knows of the others a few sums; particles are
// listed once for each history.
// All members are collective.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "smc/ballot.hpp"
#include "smc/options.hpp"
#include "smc/population.hpp"
#include "smc/run.hpp"
#include "smc/transport.hpp"
#include "smc/weights.hpp"

namespace shoal::smc {

struct Weighing {
  WeightSums sums;
  std::uint64_t finished = 0;  ///< sum of q over the finished particles; 0 unless early stopping needs it
};

/// A resampling as one rank sees it.
struct Offspring {
  std::vector<Birth> births;            ///< on this rank, by child; a parent elsewhere may be any that has its history
  std::vector<Transfer> transfers;      ///< at least those from and to this rank; see MigrationPlan
  bool moves = false;                   ///< some particle changes rank; equal on all ranks
  MigrationStats stats;                 ///< over all ranks, without bytes
  std::vector<std::uint32_t> ancestor;  ///< of every particle; in blocks empty
};

class Selection {
 public:
  virtual ~Selection() = default;
  /// With entries for what all ranks are to know of each other's particles.
  [[nodiscard]] virtual Ballot empty_ballot() const = 0;
  /// @param ballot agreed upon, with the weights of @p population and of the other ranks'
  virtual Weighing weigh(const Ballot& ballot, const Population& population) = 0;
  /// By the last weights that were weighed.
  virtual Offspring resample(std::uint32_t batch, const Population& population) = 0;
  /// Fills what @p record has of each particle on rank 0; in blocks that is nothing.
  virtual void describe(const Ballot& ballot, const Population& population, TokenId end_token, BatchRecord* record) = 0;
  /// The particles, the posterior and the most probable text, by the last weights, on rank 0.
  virtual void list(const Ballot& ballot, Population population, RunResult* result) = 0;
};

/// @param transport outlives it
std::unique_ptr<Selection> select_in_vectors(const Options& options, std::size_t potentials, Transport* transport);
std::unique_ptr<Selection> select_in_blocks(const Options& options, Transport* transport);

/// Ids of this rank's particles before the first resampling.
std::vector<LogicalId> first_ids(std::size_t particles, const Transport& transport);

}  // namespace shoal::smc
