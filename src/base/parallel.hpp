// The rank's worker threads: OpenMP, the same pool that oneDNN uses, so that threads are never counted twice.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>

namespace shoal {

void set_worker_threads(int threads);
int worker_threads();

/// Whether workers that wait for each other keep their cores busy: libgomp's default, which is quickest while there are
/// no more threads than cores. OMP_WAIT_POLICY=passive makes them sleep.
bool waiting_workers_spin();

/// Calls body(i) for i in [0, n), each index once, on the rank's workers, which take @p at_once indices at a time.
/// Bodies must not depend on each other. The first exception thrown is rethrown after all have ended.
template <class Body>
void parallel_for(std::size_t n, const Body& body, std::size_t at_once = 1) {
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, at_once) if (n > at_once)
  for (std::size_t i = 0; i < n; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical(shoal_parallel_for)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// Of @p n, so few that every worker has eight turns or more, and none waits long for the last; at least 1.
constexpr std::size_t indices_at_once(std::size_t n, std::size_t workers) {
  return std::max<std::size_t>(1, n / (8 * workers));
}

/// As parallel_for, for bodies that all take equally long, and so little that dealing them out would show.
template <class Body>
void parallel_for_short(std::size_t n, const Body& body) {
  parallel_for(n, body, indices_at_once(n, static_cast<std::size_t>(worker_threads())));
}

}  // namespace shoal
