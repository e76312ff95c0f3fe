// What this program was built from and with; recorded in every trace.
#pragma once

#include <string>

namespace shoal {

struct BuildInfo {
  std::string version;  ///< of Shoal
  std::string compiler;
  std::string type;       ///< Release, Debug, ...
  std::string processor;  ///< model name of the processor at hand
  int cores = 0;          ///< that this process may use, see cores.hpp
};

BuildInfo build_info();

}  // namespace shoal
