#include "lm/available_memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace shoal::lm {
namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// The number after @p key in a file of "key number" lines; after the file's start if the key is empty.
std::optional<std::uint64_t> read_number(const char* file, const std::string& key) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  for (std::string word; key.empty() || in >> word;)
    if (key.empty() || word == key) return in >> value ? std::optional(value) : std::nullopt;
  return std::nullopt;
}

std::uint64_t available_on_node() {
  const auto kibibytes = read_number("/proc/meminfo", "MemAvailable:");
  return kibibytes ? *kibibytes * 1024 : unlimited;
}

/// What the control group's limit leaves; cached file pages count as free.
std::uint64_t available_in_group() {
  const auto limit = read_number("/sys/fs/cgroup/memory.max", "");
  const auto used = read_number("/sys/fs/cgroup/memory.current", "");
  if (!limit || !used) return unlimited;
  const std::uint64_t cached = read_number("/sys/fs/cgroup/memory.stat", "inactive_file").value_or(0);
  const std::uint64_t taken = *used - std::min(*used, cached);
  return *limit - std::min(*limit, taken);
}

}  // namespace

std::uint64_t available_memory() { return std::min(available_on_node(), available_in_group()); }

}  // namespace shoal::lm
