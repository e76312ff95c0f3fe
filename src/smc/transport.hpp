// Transport: what the run loop needs of the other ranks. A single process satisfies it too, so serial and distributed
// runs are one code path.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/error.hpp"
#include "shoal/ids.hpp"

namespace shoal::smc {

/// A child to build on this rank after resampling, and its parent.
struct Birth {
  LogicalId child;
  LogicalId parent;
};

/// A parent's state received from another rank, once, however many children it has here.
struct Arrival {
  LogicalId parent;
  std::string state;
};

/// What a resampling moved, over all ranks.
struct MigrationStats {
  std::uint64_t moved = 0;     ///< copies that changed rank (= sum of surpluses)
  std::uint64_t sent = 0;      ///< distinct (parent, destination) states
  std::uint64_t messages = 0;  ///< rank pairs that exchanged data
  std::uint64_t bytes = 0;
};

struct Exchange {
  std::vector<Birth> births;      ///< this rank's children, by child
  std::vector<Arrival> arrivals;  ///< parents that lived elsewhere
  std::vector<Rank> owners;       ///< of every logical id after the exchange; equal on all ranks
  MigrationStats stats;           ///< equal on all ranks
};

/// Thrown on a rank that can only not go on because another has failed; the cause is the other's error.
class PeerError : public Error {
 public:
  explicit PeerError(const std::string& what)
      : Error(ExitCode::internal, what + " (the run needs every rank) see the message of that rank") {}
};

class Transport {
 public:
  virtual ~Transport() = default;

  [[nodiscard]] virtual Rank rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Elementwise maximum over the ranks: exact, so the order does not matter.
  virtual void allreduce_max(std::span<double> values) = 0;
  /// @param ancestors parent of each child, by child (size N), equal on all ranks
  /// @param owners    rank of each particle before the exchange, equal on all ranks
  /// @param pack      state of a particle of this rank, called once per (particle, destination) sent
  virtual Exchange exchange(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                            const std::function<std::string(LogicalId)>& pack) = 0;
  /// Every rank's bytes, by rank, on rank 0; empty elsewhere.
  virtual std::vector<std::string> gather(std::string_view mine) = 0;
  /// Polled between tokens: true once rank 0's deadline has passed. Never blocks.
  virtual bool deadline_passed() = 0;
};

/// owners[i] for N particles in contiguous blocks over P ranks.
std::vector<Rank> initial_owners(std::size_t particles, int ranks);

}  // namespace shoal::smc
