// What the machine allows, measured in the same run, for the counters beside a benchmark: limit_us is the time that
// moving the data alone takes (CPU time), of_limit the share of it that was reached (1 is the limit).
#pragma once

#include <benchmark/benchmark.h>

#include <cstring>
#include <ctime>
#include <vector>

namespace shoal::bench {

/// Of this thread, in seconds: what Google Benchmark's rates are reckoned with, so that other programs spoil neither.
inline double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Smallest of several timings of @p action, after one that is not counted; in seconds.
template <class Action>
double quickest(int times, const Action& action) {
  double best = 1e300;
  for (int i = 0; i <= times; ++i) {
    const double start = cpu_seconds();
    action();
    const double seconds = cpu_seconds() - start;
    if (i > 0 && seconds < best) best = seconds;
  }
  return best;
}

/// Seconds to copy that many bytes, from where they lie after the last copy (cache or memory) to a place of their own.
inline double copy_seconds(std::size_t bytes) {
  std::vector<char> from(bytes, 1);
  std::vector<char> to(bytes, 2);
  const int repeats = static_cast<int>(std::size_t{1 << 20U} / (bytes + 1)) + 1;
  return quickest(20,
                  [&] {
                    for (int r = 0; r < repeats; ++r) {
                      std::memcpy(to.data(), from.data(), bytes);
                      benchmark::ClobberMemory();
                    }
                  }) /
         repeats;
}

/// Seconds to read that many bytes once, from where they lie after the last reading.
inline double read_seconds(std::size_t bytes) {
  const std::vector<float> from(bytes / sizeof(float) + 64, 1.0F);
  const int repeats = static_cast<int>(std::size_t{1 << 20U} / (bytes + 1)) + 1;
  return quickest(20,
                  [&] {
                    for (int r = 0; r < repeats; ++r) {
                      float lanes[64] = {};
                      for (std::size_t v = 0; v + 64 <= from.size(); v += 64)
                        for (std::size_t i = 0; i < 64; ++i) lanes[i] += from[v + i];
                      benchmark::DoNotOptimize(lanes);
                      benchmark::ClobberMemory();
                    }
                  }) /
         repeats;
}

/// @param seconds that an iteration takes at least
inline void set_limit(benchmark::State* state, double seconds) {
  state->counters["limit_us"] = seconds * 1e6;
  state->counters["of_limit"] = benchmark::Counter(seconds, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace shoal::bench
