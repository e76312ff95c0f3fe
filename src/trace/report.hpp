// A trace as one self-contained HTML page: no network, no external script or font.
#pragma once

#include <string>

#include "trace/trace_reader.hpp"

namespace shoal::trace {

/// Where the trace comes from, for the page's words.
struct ReportSource {
  std::string name;      ///< of the file
  bool running = false;  ///< a run on this machine is still writing it
};

/// The page. Of a trace without a result it says so at its top and shows what there is.
/// @throws IoError if the trace is damaged
std::string html_report(const Trace& trace, const ReportSource& source);

/// Whether a run on this machine is writing @p path at the moment.
bool is_being_written(const std::string& path);

}  // namespace shoal::trace
