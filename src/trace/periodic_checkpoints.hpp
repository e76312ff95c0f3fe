// PeriodicCheckpoints: keeps the checkpoint of a running job fresh.
#pragma once

#include <chrono>
#include <string>

#include "smc/run_state.hpp"
#include "trace/checkpoint.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace {

class PeriodicCheckpoints final : public smc::Checkpointer {
 public:
  /// @param run        what each checkpoint says beside the state
  /// @param interval_s time between two of them; 0: after every batch
  /// @param trace      of the same run, or null; must outlive this
  /// @throws IoError if @p path cannot become a checkpoint
  PeriodicCheckpoints(std::string path, Checkpoint run, double interval_s, TraceWriter* trace);

  bool due() override;
  void write(const smc::RunState& state) override;

 private:
  using Clock = std::chrono::steady_clock;

  std::string path_;
  Checkpoint run_;
  double interval_s_;
  TraceWriter* trace_;
  Clock::time_point written_ = Clock::now();
};

}  // namespace shoal::trace
