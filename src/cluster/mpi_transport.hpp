// MpiTransport: the run loop's link to the other ranks, over MPI. Owns nothing of MPI: the communicators are the
// World's, so that making and ending a transport costs no collective.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "cluster/migration_plan.hpp"
#include "cluster/world.hpp"
#include "smc/transport.hpp"

namespace shoal::cluster {

class StopSignal;

/// One per run, made on every rank in the same order. Its calls are collective but for deadline_passed().
class MpiTransport : public smc::Transport {
 public:
  /// @param timeout_s seconds from now on rank 0's clock, 0 = at once; nullopt: no deadline. Of the other ranks ignored
  MpiTransport(World& world, std::optional<double> timeout_s);
  ~MpiTransport() override;

  [[nodiscard]] Rank rank() const override;
  [[nodiscard]] int size() const override;
  [[nodiscard]] int node_of(Rank rank) const override;
  /// While rank 0 waits for the others, it goes on watching the deadline for them.
  void allreduce_max(std::span<double> values) override;
  [[nodiscard]] smc::MigrationPlan plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                        double spare) const override;
  std::unique_ptr<smc::Shipment> ship(std::vector<smc::Parcel> outgoing, std::vector<smc::Parcel> incoming) override;
  std::vector<std::string> gather(std::string_view mine) override;
  bool deadline_passed() override;

 protected:
  /// For one wait for other ranks, to be called all the time: shows that this rank lives, looks whether they do, lets
  /// messages to them go on, and, as rank 0, tells them of the deadline.
  [[nodiscard]] std::function<void()> vigil();

  Links* links_;

 private:
  class Voyage;

  template <class Operations>
  void wait(Operations& operations);

  std::unique_ptr<StopSignal> stop_;
};

}  // namespace shoal::cluster
