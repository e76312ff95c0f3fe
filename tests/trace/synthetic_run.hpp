// Traces that look like those of real runs: a toy language of words, a style that favours some of them, resampling.
#pragma once

#include <string>

#include "trace/trace_reader.hpp"

namespace shoal::trace::testing {

struct SyntheticRun {
  int particles = 50;
  int batch_size = 6;
  int batches = 10;
  int ranks = 2;
  double ess_threshold = 0.5;
  std::uint64_t seed = 1;
  bool with_result = true;
  bool with_vocabulary = true;
  int extinct_at = -1;            ///< batch in which every particle dies
  std::uint32_t first_batch = 0;  ///< above 0: a resumed run
};

Trace synthetic_trace(const SyntheticRun& run);

/// The same through a file: what TraceWriter makes of it.
void write_trace_file(const std::string& path, const Trace& trace);

}  // namespace shoal::trace::testing
