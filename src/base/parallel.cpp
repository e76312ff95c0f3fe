#include "base/parallel.hpp"

#include <omp.h>
#include <strings.h>

#include <cstdlib>
#include <cstring>

namespace shoal {

void set_worker_threads(int threads) { omp_set_num_threads(threads); }
int worker_threads() { return omp_get_max_threads(); }

bool waiting_workers_spin() {
  if (const char* spins = std::getenv("GOMP_SPINCOUNT")) return std::strcmp(spins, "0") != 0;
  const char* policy = std::getenv("OMP_WAIT_POLICY");
  return policy == nullptr || strcasecmp(policy, "passive") != 0;
}

}  // namespace shoal
