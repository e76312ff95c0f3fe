#include "base/build_info.hpp"

#include <fstream>

#include "base/cores.hpp"

namespace shoal {
namespace {

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

BuildInfo build_info() {
  return {.version = SHOAL_VERSION,
          .compiler = SHOAL_COMPILER,
          .type = SHOAL_BUILD_TYPE,
          .processor = processor_name(),
          .cores = available_cores().usable()};
}

}  // namespace shoal
