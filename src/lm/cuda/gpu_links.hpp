// GpuLinks: the ranks' GPUs linked by NCCL: exact reductions, and key/value blocks from GPU to GPU beside the decoding.
// One rank per GPU (NCCL refuses two; their ranks use MPI).
//
// The run loop does not use it yet: particles travel over MPI, through the host. Compiled, linked and tested against an
// emulated NCCL; it has never run on GPUs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace shoal::lm {

/// Made by one rank and given to all, e.g. with World::broadcast.
using GpuLinkId = std::array<char, 128>;

/// Bytes in a GPU's memory on their way from or to another rank.
struct GpuParcel {
  int peer = 0;
  std::byte* at = nullptr;
  std::size_t bytes = 0;
};

/// Calls are collective, in the same order on all ranks. When a peer is lost, or does not come within the patience,
/// they throw an Error of exit code 75 instead of waiting for ever, and the links are of no use any more.
class GpuLinks {
 public:
  virtual ~GpuLinks() = default;
  /// Sums of integers and maxima are exact, so they are the same in every order.
  virtual void allreduce_sum(std::span<std::uint64_t> values) = 0;
  virtual void allreduce_max(std::span<double> values) = 0;
  /// Starts all of them as one group, on a stream of their own; parcels between two ranks in the same order on both.
  /// The memory must stay until finish_exchange().
  virtual void start_exchange(std::span<const GpuParcel> sends, std::span<const GpuParcel> receives) = 0;
  /// Whether all have arrived; never waits.
  [[nodiscard]] virtual bool exchange_done() = 0;
  virtual void finish_exchange() = 0;
};

}  // namespace shoal::lm
