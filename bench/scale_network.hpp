// When parcels between ranks arrive, if those that leave or reach the same card share it.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <vector>

namespace shoal::bench {

/// Bytes on their way from one rank to another.
struct Parcel {
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  std::size_t from = 0;
  std::size_t to = 0;
  double bytes = 0.0;
  std::size_t after = none;  ///< the parcel that brings the sender what it sends; none: it has it
};

struct Network {
  std::span<const int> nodes;  ///< of each rank
  double latency_s = 0.0;
  double bandwidth = 0.0;       ///< of a node's card, each way
  double node_bandwidth = 0.0;  ///< of a rank to others of its node, each way
};

/// Seconds until each parcel is there. A parcel goes at the smaller of its even shares of what it leaves and what it
/// reaches, as long as these are busy with so many.
/// @param forwards when a rank sends on what it has at a time
std::vector<double> arrivals(std::span<const Parcel> parcels, const Network& network,
                             const std::function<double(std::size_t rank, double time)>& forwards);

}  // namespace shoal::bench
