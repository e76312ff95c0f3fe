// Migration: the particles of one resampling on their way between ranks.
//
// What travels is small but for the key/value blocks. So the particles themselves are exchanged at once; each receiver
// looks which blocks of their contexts it has and asks for the others; and these travel while the particles that stayed
// go on decoding. Or no block travels, and the receivers compute them from the tokens. A rank that relays sends on what
// it has received.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shoal/language_model.hpp"
#include "smc/options.hpp"
#include "smc/population.hpp"
#include "smc/transport.hpp"

namespace shoal::smc {

/// The children that @p rank builds, by child.
std::vector<Birth> births_on(Rank rank, std::span<const LogicalId> ancestors, std::span<const Rank> owners);

/// One rank's side of it. The steps are to be taken by all ranks in their order:
///   1. construct: packs the particles that leave
///   2. trade: exchanges them, asks for blocks; waits for other ranks, but only as long as small messages take
///   3. ship: sends the blocks; only if no rank has failed before
///   4. linger, poll or wait, until arrived
///   5. pass_on, before the ranks next agree
class Migration {
 public:
  /// @param transfers at least those from and to this rank; grouped by sender, then receiver; between two ranks all are
  ///                  relayed or none
  /// All arguments but the transfers must outlive it.
  Migration(std::span<const Transfer> transfers, const Population& population, ContextTree* tree, Transport* transport);
  /// Keeps what goes wrong in packing and unpacking for failure(): the others must not wait for it. If a rank has
  /// failed before any particle travelled, none does.
  /// @throws if the messages themselves fail, or lists of them find no memory
  void trade(Migrate how, std::size_t vocabulary_size);
  void ship();

  [[nodiscard]] std::exception_ptr failure() const { return failure_; }
  /// The parents that lived elsewhere; waiting if data of their contexts is still to come. To be kept until it has.
  [[nodiscard]] Arrivals take_arrivals() { return std::move(arrivals_); }
  /// That this rank sends.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  /// Whether the contexts of all arrivals are there; fills them in, and sends on what others wait for. Never blocks.
  bool poll();
  void wait(const std::function<bool()>& stop);
  /// Whether what this rank relays is under way.
  [[nodiscard]] bool relays() const { return relay_ != nullptr; }
  /// Waits up to so long for what travels from and to this rank.
  /// @return whether that was long enough
  bool linger(double seconds);
  /// Does what this rank owes to others that wait for it to relay, also after a failure; what goes wrong here is kept
  /// for failure(). If something has not come yet, waits for it.
  void pass_on();

 private:
  /// What travels between this rank and one other.
  struct Route {
    Rank peer;
    bool relayed = false;
    std::vector<LogicalId> parents{};
    // By parent; at the sender:
    std::vector<ContextReference> contexts{};  ///< kept until they are packed, or their blocks have left
    std::vector<std::uint32_t> computed{};
    std::vector<std::uint32_t> first_blocks{};  ///< that the receiver lacks, if it lacks any
    // at the receiver:
    std::vector<ExpectedContext> expected{};
    std::string bytes{};                         ///< of the next step
    std::vector<std::span<std::byte>> blocks{};  ///< or, where the transport reaches them, these

    [[nodiscard]] std::uint64_t size() const;
  };
  using Routes = std::vector<Route>;
  using RouteSpan = std::span<Route>;
  [[nodiscard]] static Routes routes(std::span<const Transfer> transfers, Rank mine, Rank Transfer::*here,
                                     Rank Transfer::*there);
  /// Of those that go out: what this rank has, and what it gets first.
  [[nodiscard]] RouteSpan own() { return RouteSpan(outgoing_).first(own_); }
  [[nodiscard]] RouteSpan relayed() { return RouteSpan(outgoing_).subspan(own_); }

  template <class Action>
  void attempt(const Action& action);
  void pack_particles(Route* route, const Population& population) const;
  void unpack_particles(Route* route);
  void expect_contexts();
  void take_relayed_contexts();
  void ask_for_blocks();
  void gather_outgoing_blocks(Route* route) const;
  void make_room_for_blocks(Route* route) const;
  void fill_contexts();
  void start_relaying();
  [[nodiscard]] std::unique_ptr<Shipment> start(RouteSpan from, RouteSpan to);
  void exchange(RouteSpan from, RouteSpan to);
  void exchange_sizes();
  void exchange_particles();
  [[nodiscard]] bool some_rank_failed();

  ContextTree* tree_;
  Transport* transport_;
  Routes outgoing_;  ///< this rank's own first
  std::size_t own_ = 0;
  Routes incoming_;
  Arrivals arrivals_;
  std::uint64_t bytes_ = 0;
  std::exception_ptr failure_;
  std::unique_ptr<Shipment> shipment_;  ///< of the blocks
  bool filled_ = false;
  std::unique_ptr<Shipment> relay_;  ///< of those that are relayed
};

}  // namespace shoal::smc
