#include "trace/report.hpp"

#include <boost/program_options/value_semantic.hpp>
#include <filesystem>
#include <functional>
#include <iostream>

#include "app/command_line.hpp"
#include "app/subcommands.hpp"
#include "base/message.hpp"
#include "shoal/error.hpp"
#include "trace/genlm_export.hpp"
#include "trace/replace_file.hpp"

namespace shoal::app {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

struct ReportOptions {
  std::string trace;
  std::string output;  ///< empty: the trace's name, ending in .html
  std::string genlm;
};

OptionSet option_set(ReportOptions* o) {
  OptionSet set;
  set.shown.add_options()("output,o", po::value(&o->output)->value_name("FILE"),
                          "the page (the trace's name, ending in .html); - is standard output")(
      "export-genlm", po::value(&o->genlm)->value_name("FILE"),
      "write the run as the JSON record that genlm's viewer reads; the page only if -o asks for it too")(
      "help,h", "show this text");
  set.aliases.add_options()("trace", po::value(&o->trace));
  set.positional = {"trace"};
  return set;
}

void validate(ReportOptions* o) {
  if (o->trace.empty()) throw UsageError("no trace (nothing to report on) give the file that --trace wrote");
  if (o->output.empty() && o->genlm.empty()) o->output = fs::path(o->trace).replace_extension(".html").string();
  for (const std::string& output : {o->output, o->genlm}) {
    std::error_code ignored;
    if (output == o->trace || fs::equivalent(output, o->trace, ignored))
      throw UsageError("cannot write to '" + output + "' (it is the trace) choose another name");
  }
  if (!o->output.empty() && o->output == o->genlm)
    throw UsageError("-o and --export-genlm name the same file (one would replace the other) choose another name");
}

/// @p path may be "-".
void write_output(const std::string& what, const std::string& path, const std::function<void(std::ostream&)>& write) {
  if (path != "-") {
    trace::replace_file(what, path, write);
    print_message("wrote the " + what + " " + path);
    return;
  }
  write(std::cout);
  std::cout.flush();
  if (!std::cout) throw IoError("cannot write the " + what + " to standard output (it takes no more) give -o FILE");
}

void make_report(const ReportOptions& options) {
  const bool running = trace::is_being_written(options.trace);  // before reading: it may end meanwhile
  const trace::Trace trace = trace::read_trace(options.trace);
  if (!trace.result)
    print_message(options.trace + " has no result (" +
                  (running ? "the run is still going" : "the run was killed, or it is still going on another machine") +
                  ") what is made shows its " + std::to_string(trace.batches.size()) + " completed batches");
  if (!options.output.empty()) {
    const std::string name = fs::path(options.trace).filename().string();
    const std::string page = trace::html_report(trace, {name, running});
    write_output("report", options.output, [&](std::ostream& out) { out << page; });
  }
  if (!options.genlm.empty())
    write_output("genlm record", options.genlm, [&](std::ostream& out) { trace::write_genlm_json(trace, out); });
}

void print_help() {
  ReportOptions defaults;
  std::cout << "Usage: shoal report TRACE.h5 [options]\n\n"
               "One self-contained HTML page from a trace: answers, genealogy, ESS, log Z-hat, time.\n"
               "Works on the trace of a run that is still going, or was killed: the page then says so.\n\n"
            << option_set(&defaults).shown;
}

}  // namespace

int report_command(cluster::World& world, const Arguments& arguments) {
  ReportOptions options;
  const bool root = world.rank() == Rank{0};
  const Parsed parsed = world.together([&] {
    const Parsed result = parse(arguments, option_set(&options), "report");
    if (result == Parsed::options) validate(&options);
    return result;
  });
  if (parsed == Parsed::help_wanted) {
    if (root) print_help();
    return 0;
  }
  world.together([&] {
    if (root) make_report(options);
  });
  return 0;
}

}  // namespace shoal::app
