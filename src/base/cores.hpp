// Cores that this process may use: its affinity mask (cpusets, taskset, the binding of Slurm or Open MPI) and the CPU
// quota of its control groups.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>

namespace shoal {

/// One bit per logical processor, as the kernel numbers them.
using CoreMask = std::array<std::uint64_t, 256>;

struct Cores {
  CoreMask mask{};      ///< where the process may run
  double quota = none;  ///< how many cores' worth of time its control groups allow

  static constexpr double none = std::numeric_limits<double>::infinity();

  /// Threads that can compute at the same time, at least one. Half a core of quota feeds no thread.
  [[nodiscard]] int usable() const;
  /// Says what limits them: "2 of the machine's 64 (affinity mask)".
  [[nodiscard]] std::string describe() const;
};

int count(const CoreMask& mask);

Cores available_cores();

/// The smallest quota among the process's control groups and those above them, both versions.
/// @param root where /proc and /sys are; another for tests
double cpu_quota(const std::filesystem::path& root = "/");

}  // namespace shoal
