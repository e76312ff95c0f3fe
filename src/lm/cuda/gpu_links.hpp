// GpuLinks: the ranks' GPUs linked by NCCL: exact reductions, and key/value blocks from GPU to GPU beside the decoding.
// One rank per GPU (NCCL refuses two; their ranks use MPI).
#pragma once

#include <array>
#include <cstddef>
#include <functional>
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

/// Called all the time while a rank waits for others.
using Meanwhile = std::function<void()>;

/// Calls are collective, in the same order on all ranks. When a peer is lost they throw an Error of exit code 75
/// instead of waiting for ever, and the links are of no use any more.
class GpuLinks {
 public:
  virtual ~GpuLinks() = default;
  /// Maxima are exact, so they are the same in every order.
  virtual void allreduce_max(std::span<double> values, const Meanwhile& meanwhile) = 0;
  /// Starts all of them as one group, on a stream of their own; parcels between two ranks in the same order on both.
  /// The memory must stay until exchange_done().
  virtual void start_exchange(std::span<const GpuParcel> sends, std::span<const GpuParcel> receives,
                              const Meanwhile& meanwhile) = 0;
  /// Whether all have arrived; never waits.
  [[nodiscard]] virtual bool exchange_done() = 0;
  /// Seconds that @p bytes take to and from other ranks, all ranks at the same time.
  [[nodiscard]] virtual double time_exchange(int to, int from, std::size_t bytes, const Meanwhile& meanwhile) = 0;
};

}  // namespace shoal::lm
