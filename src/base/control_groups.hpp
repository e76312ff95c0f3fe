// The control groups that limit this process: where the kernel tells their limits.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace shoal {

/// Folders of the process's control groups for @p controller ("cpu", "memory"), of both versions, and of all groups
/// above them. In a container the path of a group may name folders that only the host sees: not all need exist.
/// @param root where /proc and /sys are; another for tests
std::vector<std::filesystem::path> control_groups(const std::string& controller,
                                                  const std::filesystem::path& root = "/");

}  // namespace shoal
