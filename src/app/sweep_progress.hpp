// Progress of a sweep on standard error: a bar on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <set>
#include <string>

namespace shoal::app {

class SweepProgress {
 public:
  /// @param to_run cells that this process will run
  SweepProgress(std::size_t to_run, bool quiet);
  SweepProgress(const SweepProgress&) = delete;
  SweepProgress& operator=(const SweepProgress&) = delete;
  ~SweepProgress();

  void begin(const std::string& cell);
  /// Called while the cell runs.
  void tick();
  /// @param outcome "completed", "failed: ..."; a failure of a new kind is always printed
  void end(const std::string& outcome, bool failed);

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::string time_left() const;
  void clear_line() const;

  std::size_t to_run_;
  std::size_t done_ = 0;
  bool quiet_;
  bool terminal_;
  std::string cell_;
  std::set<std::string> failures_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point cell_start_{};
  Clock::time_point shown_{};
};

}  // namespace shoal::app
