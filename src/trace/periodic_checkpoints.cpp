#include "trace/periodic_checkpoints.hpp"

#include <utility>

namespace shoal::trace {

PeriodicCheckpoints::PeriodicCheckpoints(std::string path, Checkpoint run, double interval_s, TraceWriter* trace)
    : path_(std::move(path)), run_(std::move(run)), interval_s_(interval_s), trace_(trace) {
  check_checkpoint_target(path_);
}

bool PeriodicCheckpoints::due() {
  return std::chrono::duration<double>(Clock::now() - written_).count() >= interval_s_;
}

void PeriodicCheckpoints::write(const smc::RunState& state) {
  run_.state = state;
  if (trace_ != nullptr) run_.trace = trace_->sync();
  write_checkpoint(path_, run_);
  written_ = Clock::now();
}

}  // namespace shoal::trace
