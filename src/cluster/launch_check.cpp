#include "cluster/launch_check.hpp"

#include <cstdlib>
#include <cstring>

namespace shoal::cluster {

LaunchProblem launch_problem(int world_size, const Environment& environment) {
  const auto is_set = [&](const char* name) { return environment(name) != nullptr; };
  const char* tasks = environment("SLURM_STEP_NUM_TASKS");
  // Under mpirun SLURM's variables describe its daemons, not the ranks.
  if (world_size > 1 || tasks == nullptr || std::atoi(tasks) <= 1 || is_set("OMPI_COMM_WORLD_SIZE") ||
      is_set("SHOAL_ALONE"))
    return {"", false};
  const char* task = environment("SLURM_PROCID");
  return {
      "srun started " + std::string(tasks) +
          " tasks that do not know of each other (MPI found no PMI) use srun --mpi=pmix (srun --mpi=list shows what "
          "there is), mpirun, or srun -n 1; set SHOAL_ALONE=1 if separate runs are wanted",
      task == nullptr || std::strcmp(task, "0") == 0};
}

}  // namespace shoal::cluster
