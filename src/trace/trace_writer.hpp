// Writes a run's trace, batch by batch, as an HDF5 file with a single writer and many readers (SWMR).
// The file appears under its name only when every object of the batch part exists; each batch is flushed before
// on_batch returns, so a reader, or the file of a killed run, holds every completed batch. /result needs new objects,
// which SWMR forbids: finish() adds it to a copy that then replaces the file in one step.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "shoal/vocabulary.hpp"
#include "smc/run.hpp"
#include "trace/checkpoint.hpp"
#include "trace/trace_info.hpp"

namespace shoal::trace {

class TraceWriter final : public smc::Observer {
 public:
  /// Creates @p path; an earlier trace or an empty file of that name is replaced, any other file is refused.
  /// @param vocabulary gives the bytes of the tokens that occur, so that readers can show texts; may be null, else it
  ///                   must live as long as the writer
  /// @throws IoError, leaving what was there untouched
  TraceWriter(const std::string& path, TraceInfo info, const Vocabulary* vocabulary = nullptr);
  /// Continues the trace at @p path of a run that goes on from a checkpoint: keeps what is before its mark.
  /// @param mark of the checkpoint
  /// @throws IoError, leaving what was there untouched, if it is not the trace that the mark was made in
  TraceWriter(const std::string& path, TraceInfo info, const Vocabulary* vocabulary,
              const std::optional<TraceMark>& mark);
  ~TraceWriter() override;
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  /// Appends one row; sizes as in BatchRecord, for TraceInfo's particles, batch size and potentials.
  /// @throws IoError, for example on a full disk; the batches written before can still be read, no more may be added
  void on_batch(const smc::BatchRecord& record) override;

  /// Makes the batches outlast a power failure. @return how far the trace has come
  TraceMark sync();

  /// Adds /result and closes the file. Nothing may be written afterwards.
  /// @throws IoError; the batches are kept
  void finish(const smc::RunResult& result);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::trace
