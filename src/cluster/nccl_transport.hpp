// NcclTransport: an MpiTransport whose reductions, and the key/value blocks of migrations, go from GPU to GPU. All
// else, which is small, stays with MPI.
#pragma once

#include <memory>
#include <optional>

#include "cluster/mpi_transport.hpp"
#include "lm/cuda/gpu_links.hpp"

namespace shoal::cluster {

/// With the same bits as an MpiTransport.
class NcclTransport final : public MpiTransport {
 public:
  /// @param gpus outlives it
  NcclTransport(World& world, std::optional<double> timeout_s, lm::GpuLinks* gpus)
      : MpiTransport(world, timeout_s), gpus_(gpus) {}

  void allreduce_max(std::span<double> values) override;
  [[nodiscard]] bool reaches_blocks() const override { return true; }
  std::unique_ptr<smc::Shipment> ship(std::vector<smc::Parcel> outgoing, std::vector<smc::Parcel> incoming) override;

 private:
  class Flight;

  lm::GpuLinks* gpus_;
};

/// Over @p gpus if there are any, else over MPI.
std::unique_ptr<smc::Transport> make_transport(World& world, std::optional<double> timeout_s, lm::GpuLinks* gpus);

}  // namespace shoal::cluster
