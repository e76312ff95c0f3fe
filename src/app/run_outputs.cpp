#include "app/run_outputs.hpp"

#include <filesystem>
#include <utility>

namespace shoal::app {

RunOutputs::RunOutputs(const GenerateOptions& options, trace::Checkpoint run, const Vocabulary& vocabulary,
                       const trace::Checkpoint* start, Log* log) {
  if (!options.checkpoint.empty()) trace::check_checkpoint_target(options.checkpoint);  // before a trace is made
  if (!options.trace.empty()) {
    open_trace(options.trace, run.info, vocabulary, start);
    observers_.add(trace_.get());
  }
  if (!options.checkpoint.empty())
    checkpoints_ = std::make_unique<trace::PeriodicCheckpoints>(
        options.checkpoint, std::move(run), options.checkpoint_interval_s.value_or(default_checkpoint_interval_s),
        trace_.get());
  if (!options.quiet) {
    progress_ = std::make_unique<Progress>(
        ProgressSettings{options.smc.particles, options.smc.max_tokens, options.timeout_s}, vocabulary, stderr);
    observers_.add(progress_.get());
  }
  if (log->takes(LogLevel::debug)) {
    batch_log_ = std::make_unique<BatchLog>(log);
    observers_.add(batch_log_.get());
  }
}

void RunOutputs::open_trace(const std::string& path, const trace::TraceInfo& info, const Vocabulary& vocabulary,
                            const trace::Checkpoint* start) {
  std::error_code ignored;
  const bool exists = std::filesystem::is_regular_file(path, ignored) && std::filesystem::file_size(path, ignored) > 0;
  trace_ = start != nullptr && exists ? std::make_unique<trace::TraceWriter>(path, info, &vocabulary, start->trace)
                                      : std::make_unique<trace::TraceWriter>(path, info, &vocabulary);
}

void RunOutputs::finish(const smc::RunResult& result) {
  progress_.reset();
  if (trace_) trace_->finish(result);
}

}  // namespace shoal::app
