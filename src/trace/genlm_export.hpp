// A trace as the JSON record that the viewers of genlm-control and llamppl (html/smc.html) read.
#pragma once

#include <iosfwd>

#include "trace/trace_reader.hpp"

namespace shoal::trace {

/// One entry per batch; a resampling shows up as its effect on the batch after it, as the viewers expect. Each particle
/// has its text in both forms in use: `contents` ("before<<<new>>>", viewers up to 2025) and `keep` + `contents_incr`.
/// @throws IoError if the trace is damaged
void write_genlm_json(const Trace& trace, std::ostream& out);

}  // namespace shoal::trace
