#include "base/parallel.hpp"

#include <omp.h>

namespace shoal {

void set_worker_threads(int threads) { omp_set_num_threads(threads); }
int worker_threads() { return omp_get_max_threads(); }

}  // namespace shoal
