#include "lm/available_memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "base/control_groups.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// The file's first word.
std::optional<std::uint64_t> read_number(const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  return in >> value ? std::optional(value) : std::nullopt;
}

/// The number after @p key in a file of "key number" lines.
std::optional<std::uint64_t> read_number(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  for (std::string word; in >> word;)
    if (word == key) return in >> value ? std::optional(value) : std::nullopt;
  return std::nullopt;
}

std::uint64_t available_on_node(const fs::path& root) {
  const auto kibibytes = read_number(root / "proc/meminfo", "MemAvailable:");
  return kibibytes ? *kibibytes * 1024 : unlimited;
}

/// What a limit leaves; cached file pages count as free.
std::uint64_t left(std::uint64_t limit, std::uint64_t used, std::uint64_t cached) {
  const std::uint64_t taken = used - std::min(used, cached);
  return limit - std::min(limit, taken);
}

std::uint64_t left_in_group(const fs::path& group) {
  std::uint64_t least = unlimited;
  if (const auto limit = read_number(group / "memory.max"))
    least = left(*limit, read_number(group / "memory.current").value_or(0),
                 read_number(group / "memory.stat", "inactive_file").value_or(0));
  if (const auto limit = read_number(group / "memory.limit_in_bytes"))  // version 1
    least = std::min(least, left(*limit, read_number(group / "memory.usage_in_bytes").value_or(0),
                                 read_number(group / "memory.stat", "total_inactive_file").value_or(0)));
  return least;
}

}  // namespace

std::uint64_t available_memory(const fs::path& root) {
  std::uint64_t least = available_on_node(root);
  for (const fs::path& group : control_groups("memory", root)) least = std::min(least, left_in_group(group));
  return least;
}

}  // namespace shoal::lm
