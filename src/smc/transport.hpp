// Transport: what the run loop needs of the other ranks. A single process satisfies it too, so serial and distributed
// runs are one code path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
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

/// One parent's state on its way, however many of its children the receiver builds.
struct Transfer {
  LogicalId parent;
  Rank from;  ///< has the parent, or relays it
  Rank to;
  bool relayed = false;  ///< the sender gets the parent from another rank first, and gets nothing else
};

/// What a resampling moved, over all ranks.
struct MigrationStats {
  std::uint64_t moved = 0;          ///< copies that changed rank
  std::uint64_t between_nodes = 0;  ///< those that changed node
  std::uint64_t sent = 0;           ///< distinct (parent, destination) states
  std::uint64_t messages = 0;       ///< rank pairs that exchanged data
  std::uint64_t bytes = 0;  ///< all that travelled: particles, questions which key/value blocks are missing, blocks
};

/// Who builds which child after a resampling, and who sends which parent to whom. Equal on all ranks.
struct MigrationPlan {
  std::vector<Rank> owners;         ///< of every child
  std::vector<Transfer> transfers;  ///< grouped by sender, then receiver; each (parent, to) once, from one rank
  MigrationStats stats;             ///< without bytes, which only the execution knows
};

/// Bytes for or from another rank.
struct Parcel {
  Rank peer;
  std::string bytes{};
  /// Instead of bytes: memory of the processor that computes, which must stay until the shipment has arrived. Only if
  /// the transport reaches_blocks().
  std::vector<std::span<std::byte>> blocks{};
};

/// Parcels on their way between this rank and others.
class Shipment {
 public:
  virtual ~Shipment() = default;
  /// Whether all that this rank is to receive has come, and its own blocks have left. Never blocks; lets MPI go on with
  /// what travels.
  virtual bool arrived() = 0;
  /// Returns once all has come and this rank's own has left, or once @p stop, called now and then, returns true.
  virtual void wait(const std::function<bool()>& stop) = 0;
  /// What has come, in the order in which it was asked for.
  virtual std::vector<std::string> take() = 0;
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
  /// Number of the node that a rank is on.
  [[nodiscard]] virtual int node_of(Rank /*rank*/) const { return 0; }
  /// Elementwise maximum over the ranks: exact, so the order does not matter.
  virtual void allreduce_max(std::span<double> values) = 0;
  /// @param ancestors parent of each child, by child (size N), sorted, equal on all ranks
  /// @param owners    rank of each particle before the resampling, equal on all ranks
  /// @param spare     see rank_capacity
  [[nodiscard]] virtual MigrationPlan plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                           double spare) const = 0;
  /// Whether key/value blocks can travel from where one rank computes to where another does.
  [[nodiscard]] virtual bool reaches_blocks() const { return false; }
  /// Starts to send and to receive; never blocks. Both sides name each other, and their parcels between two ranks match
  /// in number, order and size. An empty parcel needs no message.
  /// @param incoming with room for what comes
  virtual std::unique_ptr<Shipment> ship(std::vector<Parcel> outgoing, std::vector<Parcel> incoming) = 0;
  /// Every rank's bytes, by rank, on rank 0; empty elsewhere.
  virtual std::vector<std::string> gather(std::string_view mine) = 0;
  /// Polled between tokens: true once rank 0's deadline has passed. Never blocks.
  virtual bool deadline_passed() = 0;
};

/// Most particles that a rank may hold: its even share, and a fraction @p spare more, so that a rank that is nearly
/// balanced sends nothing.
std::size_t rank_capacity(std::size_t particles, int ranks, double spare);

/// First logical id of a rank's block of N particles; that of rank P is N.
std::size_t block_begin(std::size_t particles, int ranks, int rank);
/// owners[i] for N particles in such blocks over P ranks.
std::vector<Rank> initial_owners(std::size_t particles, int ranks);

}  // namespace shoal::smc
