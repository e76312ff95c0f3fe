// RunOutputs: where rank 0 puts what happens during a run: the trace, the checkpoints, the screen.
#pragma once

#include <memory>
#include <string>

#include "app/generate_options.hpp"
#include "app/log.hpp"
#include "app/progress.hpp"
#include "trace/periodic_checkpoints.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::app {

class RunOutputs {
 public:
  /// @param run        what a checkpoint says beside the state
  /// @param vocabulary must outlive this
  /// @param start      what the run goes on from, or null
  /// @param log        must outlive this
  /// @throws IoError if a file cannot be written, leaving what was there untouched
  RunOutputs(const GenerateOptions& options, trace::Checkpoint run, const Vocabulary& vocabulary,
             const trace::Checkpoint* start, Log* log);
  RunOutputs(const RunOutputs&) = delete;
  RunOutputs& operator=(const RunOutputs&) = delete;

  /// Null if nothing is to be observed.
  [[nodiscard]] smc::Observer* observer() { return observers_.empty() ? nullptr : &observers_; }
  /// Null if none are wanted.
  [[nodiscard]] smc::Checkpointer* checkpointer() { return checkpoints_.get(); }
  /// Ends the progress bar and completes the trace.
  void finish(const smc::RunResult& result);

 private:
  void open_trace(const std::string& path, const trace::TraceInfo& info, const Vocabulary& vocabulary,
                  const trace::Checkpoint* start);

  ObserverList observers_;
  std::unique_ptr<trace::TraceWriter> trace_;
  std::unique_ptr<trace::PeriodicCheckpoints> checkpoints_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<BatchLog> batch_log_;
};

}  // namespace shoal::app
