// The NVIDIA GPUs of this node, asked of the driver itself: without the plugin or CUDA's libraries, which are large.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shoal::lm {

struct Gpu {
  std::string name;
  std::string uuid;  ///< hex; equal where two processes see the same GPU
  std::uint64_t memory_bytes = 0;
  int compute_capability = 0;  ///< 90 is 9.0
};

/// Oldest GPUs that the plugin's kernels run on.
inline constexpr int oldest_compute_capability = 80;

struct Gpus {
  std::vector<Gpu> all;  ///< in the order of their numbers
  std::string problem;   ///< why there are none
};

/// The driver is started at the first call.
const Gpus& find_gpus();

}  // namespace shoal::lm
