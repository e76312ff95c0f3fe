#include "base/build_info.hpp"

#include <sched.h>

#include <fstream>

namespace shoal {
namespace {

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

BuildInfo build_info() {
  return {.version = SHOAL_VERSION,
          .compiler = SHOAL_COMPILER,
          .type = SHOAL_BUILD_TYPE,
          .processor = processor_name(),
          .cores = available_cores()};
}

}  // namespace shoal
