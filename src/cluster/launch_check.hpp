// Notices a launcher that started several processes which do not know of each other.
#pragma once

#include <functional>
#include <string>

namespace shoal::cluster {

/// By name, as getenv: null if unset.
using Environment = std::function<const char*(const char* name)>;

struct LaunchProblem {
  std::string line;  ///< for the user
  bool speaks;       ///< whether it is this process that should print it
};

/// srun without PMI starts P worlds of one process each: P times the same run. Empty line if all is well, if SLURM is
/// not at work, or if SHOAL_ALONE is set because separate runs are wanted.
LaunchProblem launch_problem(int world_size, const Environment& environment);

}  // namespace shoal::cluster
