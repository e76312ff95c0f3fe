// How much memory this process can still take, by the kernel's estimate and the limits of its control groups.
#pragma once

#include <cstdint>
#include <filesystem>

namespace shoal::lm {

/// Bytes; the largest value if the system does not tell. Other processes of the node share them.
/// @param root where /proc and /sys are; another for tests
std::uint64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace shoal::lm
