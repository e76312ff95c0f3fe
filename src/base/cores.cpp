#include "base/cores.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <sstream>

#include "base/control_groups.hpp"

namespace shoal {
namespace {

namespace fs = std::filesystem;

/// Version 2: "max 100000", or "150000 100000" for one and a half cores.
double quota_v2(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  double quota = 0.0;
  double period = 0.0;
  return file >> quota >> period && quota > 0 && period > 0 ? quota / period : Cores::none;
}

/// Version 1: two files, -1 for no limit.
double quota_v1(const fs::path& group) {
  double quota = 0.0;
  double period = 0.0;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return quota > 0 && period > 0 ? quota / period : Cores::none;
}

}  // namespace

int count(const CoreMask& mask) {
  int cores = 0;
  for (const std::uint64_t word : mask) cores += std::popcount(word);
  return cores;
}

int Cores::usable() const {
  const int allowed = std::max(1, count(mask));
  return quota < allowed ? std::max(1, static_cast<int>(std::floor(quota))) : allowed;
}

std::string Cores::describe() const {
  const auto online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  const int allowed = count(mask);
  std::ostringstream text;
  text << usable() << " of the machine's " << online;
  if (quota < allowed)
    text << " (control group's quota: " << quota << " cores)";
  else if (allowed < online)
    text << " (affinity mask)";
  return text.str();
}

double cpu_quota(const fs::path& root) {
  double least = Cores::none;
  for (const fs::path& group : control_groups("cpu", root)) least = std::min({least, quota_v1(group), quota_v2(group)});
  return least;
}

Cores available_cores() {
  Cores cores{.quota = cpu_quota()};
  (void)sched_getaffinity(0, sizeof cores.mask, reinterpret_cast<cpu_set_t*>(cores.mask.data()));
  return cores;
}

}  // namespace shoal
