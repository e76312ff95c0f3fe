// Reads a trace back: of a finished run, of one still running, or of one that was killed.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "smc/run.hpp"
#include "trace/trace_info.hpp"

namespace shoal::trace {

/// /result; vectors of the particle kind have N entries, in logical order; or, if the trace does not list particles,
/// one for each history.
struct TraceResult {
  std::string finish_reason;
  std::string extinct_by;
  std::string best;
  double log_z = 0.0;
  double ess = 0.0;
  std::vector<std::string> texts;
  std::vector<std::int32_t> tokens;  ///< how many
  std::vector<double> log_weight;    ///< logsumexp - ln N = log_z
  std::vector<double> weights;       ///< probabilities; all zero if extinct
  std::vector<std::uint8_t> finished;
  std::vector<std::uint64_t> count;  ///< particles of each entry
  std::vector<smc::PosteriorEntry> posterior;
};

struct Trace {
  TraceInfo info;
  std::vector<smc::BatchRecord> batches;                      ///< completed batches, in order
  std::optional<TraceResult> result;                          ///< absent if the run has not ended, or was killed
  std::unordered_map<std::int32_t, std::string> token_bytes;  ///< of the tokens that occur; empty if not recorded
};

/// @throws IoError if @p path is no trace, of another format version, truncated or damaged
Trace read_trace(const std::string& path);

}  // namespace shoal::trace
