// Writes reports of synthetic runs for tests/browser: FOLDER gets one page per scenario, and the trace of `small`.
#include <fstream>
#include <iostream>
#include <map>

#include "trace/report.hpp"
#include "trace/synthetic_run.hpp"

namespace {

using namespace shoal::trace;
using testing::synthetic_trace;

Trace hostile_trace() {
  const std::string evil =
      "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
      "<!--<script> & ' \" ]]> \x01 \xff \u202e gnissecorp";
  Trace trace = synthetic_trace({.particles = 8, .batches = 3});
  trace.info.prompt = trace.info.model_id = trace.info.command_line = trace.info.device = trace.info.build = evil;
  trace.info.start_time = trace.info.shoal_version = evil;
  trace.info.options_json = evil;
  trace.info.potentials = {evil, "</script>"};
  trace.result->best = evil;
  trace.result->posterior.front().text = evil;
  trace.token_bytes[1] = evil;
  return trace;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string folder = argv[1];
  const std::string only = argc > 2 ? argv[2] : "";
  const std::map<std::string, Trace (*)()> scenarios{
      {"small", [] { return synthetic_trace({}); }},
      {"wide", [] { return synthetic_trace({.particles = 120, .batches = 24, .ranks = 4}); }},
      {"large",
       [] { return synthetic_trace({.particles = 100'000, .batches = 13, .ranks = 8, .ess_threshold = 0.9}); }},
      {"long", [] { return synthetic_trace({.particles = 30, .batch_size = 1, .batches = 900, .ranks = 3}); }},
      {"one", [] { return synthetic_trace({.particles = 1, .batches = 1, .ranks = 1}); }},
      {"extinct", [] { return synthetic_trace({.particles = 30, .batches = 5, .extinct_at = 4}); }},
      {"unfinished", [] { return synthetic_trace({.particles = 40, .batches = 6, .ranks = 3, .with_result = false}); }},
      {"empty", [] { return synthetic_trace({.batches = 0, .with_result = false}); }},
      {"ids",
       [] { return synthetic_trace({.particles = 20, .batches = 4, .with_result = false, .with_vocabulary = false}); }},
      {"resumed", [] { return synthetic_trace({.particles = 20, .batches = 5, .first_batch = 7}); }},
      {"hostile", hostile_trace}};
  for (const auto& [name, make] : scenarios) {
    if (!only.empty() && only != name) continue;
    const Trace trace = make();
    if (name == "small") testing::write_trace_file(folder + "/small.h5", trace);
    std::ofstream(folder + "/" + name + ".html", std::ios::binary) << html_report(trace, {name + ".h5", false});
  }
}
