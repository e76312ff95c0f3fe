// MpiTransport: the run loop's link to the other ranks, over MPI. Owns nothing of MPI: the communicators are the
// World's, so that making and ending a transport costs no collective.
#pragma once

#include <exception>
#include <memory>
#include <optional>

#include "cluster/migration_plan.hpp"
#include "cluster/world.hpp"
#include "smc/transport.hpp"

namespace shoal::cluster {

class Message;
class StopSignal;
struct Route;

/// One per run, made on every rank in the same order. Its calls are collective but for deadline_passed().
class MpiTransport final : public smc::Transport {
 public:
  /// @param timeout_s seconds from now on rank 0's clock, 0 = at once; nullopt: no deadline. Of the other ranks ignored
  MpiTransport(World& world, std::optional<double> timeout_s);
  ~MpiTransport() override;

  [[nodiscard]] Rank rank() const override;
  [[nodiscard]] int size() const override;
  /// While rank 0 waits for the others, it goes on watching the deadline for them.
  void allreduce_max(std::span<double> values) override;
  /// Plans, then sends each (parent, destination) once, in one message per pair of ranks.
  /// @throws whatever pack throws, on the rank concerned; PeerError on all others. Nothing has been sent then.
  smc::Exchange exchange(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                         const std::function<std::string(LogicalId)>& pack) override;
  std::vector<std::string> gather(std::string_view mine) override;
  bool deadline_passed() override;

 private:
  template <class Operations>
  void wait(Operations& operations);
  std::vector<smc::Arrival> carry_out(std::span<const Transfer> transfers,
                                      const std::function<std::string(LogicalId)>& pack, std::uint64_t* bytes);
  std::vector<Message> exchange_sizes(std::span<const Route> outgoing, std::span<const Route> incoming);
  std::uint64_t agree_on_bytes(std::uint64_t mine, const std::exception_ptr& failure);

  Links* links_;
  std::unique_ptr<StopSignal> stop_;
};

}  // namespace shoal::cluster
