// Stopwatch: wall-clock seconds on the steady clock.
#pragma once

#include <chrono>

namespace shoal {

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Adds the time until it is destroyed to a sum.
class ScopedTimer {
 public:
  explicit ScopedTimer(double* sum) : sum_(sum) {}
  ~ScopedTimer() { *sum_ += watch_.seconds(); }
  ScopedTimer(const ScopedTimer&) = delete;
  ScopedTimer& operator=(const ScopedTimer&) = delete;

 private:
  double* sum_;
  Stopwatch watch_;
};

}  // namespace shoal
