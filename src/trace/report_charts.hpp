// The report's charts, one value per batch, as inline SVG. Internal to src/trace.
#pragma once

#include <string>
#include <vector>

#include "trace/lineage.hpp"

namespace shoal::trace {

/// What the charts and the table of batches show, computed once.
struct BatchSeries {
  std::vector<std::size_t> shown;  ///< indices of batches: all, or evenly spaced ones with the last
  std::vector<std::size_t> lineages;
  std::vector<LogZError> errors;
  double ess_threshold = -1.0;  ///< of N; negative if the options do not say
};

/// At most @p limit of 0..total-1, evenly spaced, the last one included.
std::vector<std::size_t> evenly_chosen(std::size_t total, std::size_t limit);

BatchSeries batch_series(const Trace& trace);

/// The names of PhaseTimes' fields for people, and "other": the rest of the time between two batches.
extern const std::vector<const char*> phase_names;
/// Seconds by phase of batch @p b.
std::vector<double> phase_seconds(const Trace& trace, std::size_t b);

/// <figure> elements. Empty if there is no batch.
std::string charts_html(const Trace& trace, const BatchSeries& series);

/// Members of the page's data that the charts' read-outs need.
std::string charts_json(const Trace& trace, const BatchSeries& series);

}  // namespace shoal::trace
