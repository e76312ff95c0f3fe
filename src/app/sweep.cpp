// `shoal sweep`: a grid of runs, each in an MPI job of its own, and one table of their results.
#include <unistd.h>

#include <boost/program_options/value_semantic.hpp>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "app/cell_result.hpp"
#include "app/child_process.hpp"
#include "app/input_text.hpp"
#include "app/log.hpp"
#include "app/subcommands.hpp"
#include "app/sweep_progress.hpp"
#include "app/sweep_table.hpp"
#include "base/cores.hpp"
#include "base/message.hpp"
#include "base/parallel.hpp"
#include "base/signals.hpp"
#include "shoal/error.hpp"
#include "trace/replace_file.hpp"
#include "trace/table_file.hpp"

namespace shoal::app {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

constexpr int some_cells_failed = 1;
constexpr double patience_s = 10.0;  ///< between SIGTERM and SIGKILL

struct SweepOptions {
  std::string config;
  std::string output;  ///< empty: the job file's name without its ending
  std::string share;
  std::string launcher = "mpirun";
  LogOptions log;
  bool dry_run = false;
  bool quiet = false;
  std::size_t share_index = 0;  ///< from 0
  std::size_t shares = 1;
};

OptionSet option_set(SweepOptions* o) {
  OptionSet set;
  set.job_file_option.clear();
  set.shown.add_options()("config", po::value(&o->config)->value_name("FILE"),
                          "the job file: options of generate, a [grid] of values, [case NAME] sections")(
      "output,o", po::value(&o->output)->value_name("OUT"),
      "writes OUT.md and OUT.h5; finished cells are kept in OUT.cells and not run again (the job file's name)")(
      "share", po::value(&o->share)->value_name("I/N"),
      "run only every N-th cell, from the I-th on, and write no table; a run without it makes the table")(
      "launcher", po::value(&o->launcher)->value_name("NAME"),
      "mpirun, or srun inside a Slurm allocation: starts a cell's ranks (mpirun)")(
      "dry-run", po::bool_switch(&o->dry_run), "check and list the cells, run none")(
      "quiet,q", po::bool_switch(&o->quiet), "print the table and failures only");
  add_log_options(&set.shown, &o->log);
  set.shown.add_options()("help,h", "show this text");
  set.positional = {"config"};
  return set;
}

void parse_share(SweepOptions* o) {
  if (o->share.empty()) return;
  const char* const end = o->share.data() + o->share.size();
  const auto first = std::from_chars(o->share.data(), end, o->share_index);
  const bool slash = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  const auto second = slash ? std::from_chars(first.ptr + 1, end, o->shares) : first;
  if (!slash || second.ec != std::errc() || second.ptr != end || o->share_index < 1 || o->share_index > o->shares)
    throw UsageError("bad --share '" + o->share + "' (not I/N with 1 <= I <= N) give 1/4 to 4/4 to four processes");
  --o->share_index;
}

void validate(SweepOptions* o) {
  if (o->config.empty()) throw UsageError("no job file (nothing to run) give --config FILE");
  if (o->output.empty()) o->output = fs::path(o->config).stem().string();
  if (o->launcher != "mpirun" && o->launcher != "srun")
    throw UsageError("bad --launcher '" + o->launcher + "' (not known) choose one of mpirun, srun");
  parse_share(o);
  const fs::path folder = fs::path(o->output).parent_path();
  if (!fs::is_directory(folder.empty() ? "." : folder))
    throw IoError("cannot write to '" + o->output + "' (the folder '" + folder.string() +
                  "' does not exist) create it first");
}

/// Runs the cells that have no result yet.
class Sweep {
 public:
  Sweep(SweepOptions options, SweepGrid grid, std::vector<Cell> cells)
      : options_(std::move(options)),
        grid_(std::move(grid)),
        cells_(std::move(cells)),
        folder_(options_.output + ".cells"),
        results_(cells_.size()),
        done_(cells_.size()) {
    for (std::size_t i = 0; i < cells_.size(); ++i) read_finished(i);
  }

  void list(std::ostream& out) const {
    for (std::size_t i = 0; i < cells_.size(); ++i)
      out << "cell " << i + 1 << '/' << cells_.size() << "  " << describe(cells_[i], grid_) << "  "
          << (!cells_[i].skipped.empty() ? "skipped: " + cells_[i].skipped
              : done_[i]                 ? "done"
                                         : "to do")
          << "\n  " << shell_line(command(cells_[i])) << '\n';
  }

  /// @return the signal that ended it early, or 0
  int run(Log* log) {
    std::vector<std::size_t> to_run;
    for (std::size_t i = options_.share_index; i < cells_.size(); i += options_.shares)
      if (!done_[i] && cells_[i].skipped.empty()) to_run.push_back(i);
    if (to_run.empty()) return 0;
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error)
      throw IoError("cannot create '" + folder_.string() + "' (" + error.message() + ") choose another --output");
    SweepProgress progress(to_run.size(), options_.quiet);
    for (const std::size_t i : to_run) {
      progress.begin(describe(cells_[i], grid_));
      log->debug(results_[i].command);
      run_cell(i, &progress);
      if (const int number = received_signal()) return number;
      log_end(i, log);
      progress.end(results_[i].failed() ? "failed: " + results_[i].error : results_[i].finish_reason,
                   results_[i].failed());
    }
    return 0;
  }

  [[nodiscard]] SweepResults results(const std::string& command_line, const std::string& job_file) const {
    return {&grid_, cells_, results_, command_line, job_file, folder_.string()};
  }
  [[nodiscard]] std::size_t count_done() const {
    return static_cast<std::size_t>(std::count(done_.begin(), done_.end(), true));
  }
  /// Cells that were run, now, and failed.
  [[nodiscard]] std::size_t count_failed() const { return failed_; }
  [[nodiscard]] std::size_t count_cells() const { return cells_.size(); }
  [[nodiscard]] const fs::path& folder() const { return folder_; }

 private:
  void log_end(std::size_t i, Log* log) const {
    const CellResult& result = results_[i];
    const std::string line = "cell " + std::to_string(i + 1) + " of " + std::to_string(cells_.size()) + ", " +
                             describe(cells_[i], grid_) + ": ";
    if (result.failed())
      log->error(line + "exit code " + std::to_string(result.exit_code) + ": " + result.error);
    else
      log->info(line + result.finish_reason);
  }

  [[nodiscard]] fs::path file_of(const Cell& cell, const char* ending) const { return folder_ / (cell.key + ending); }

  void read_finished(std::size_t i) {
    results_[i].command = shell_line(command(cells_[i]));
    std::ifstream file(file_of(cells_[i], ".json"));
    std::ostringstream text;
    text << file.rdbuf();
    if (auto known = cell_result_from_json(text.str())) {
      results_[i] = std::move(*known);
      done_[i] = true;
      cells_[i].skipped.clear();  // it was run where it could be
    }
  }

  [[nodiscard]] std::vector<std::string> command(const Cell& cell) const {
    const std::string ranks = std::to_string(cell.ranks);
    std::vector<std::string> words = {"mpirun", "--bind-to", "none", "-n", ranks};
    if (options_.launcher == "srun") {
      words = {"srun", "--mpi=pmix", "--ntasks=" + ranks};
      if (const char* cores = getenv("SLURM_CPUS_PER_TASK")) words.push_back(std::string("--cpus-per-task=") + cores);
    }
    words.push_back(fs::read_symlink("/proc/self/exe").string());
    words.emplace_back("generate");
    words.insert(words.end(), cell.arguments.begin(), cell.arguments.end());
    words.insert(words.end(), {"--json", "--quiet"});
    return words;
  }

  void run_cell(std::size_t i, SweepProgress* progress) {
    const Cell& cell = cells_[i];
    const std::string process = "." + std::to_string(getpid());
    const fs::path out = file_of(cell, (process + ".out").c_str());
    const fs::path err = file_of(cell, ".err");
    ChildProcess child(command(cell), out, err);
    while (!child.wait(0.2) && received_signal() == 0) progress->tick();
    if (received_signal() != 0) {
      child.ask_to_end();
      child.wait(patience_s);
    } else {
      take_result(i, child.exit_code(), out, err);
    }
    std::error_code ignored;
    fs::remove(out, ignored);
    if (!results_[i].failed() || received_signal() != 0) fs::remove(err, ignored);
  }

  void take_result(std::size_t i, int exit_code, const fs::path& out, const fs::path& err) {
    CellResult& result = results_[i];
    const bool ended =
        exit_code == static_cast<int>(ExitCode::done) || exit_code == static_cast<int>(ExitCode::extinct);
    try {
      if (ended) {
        const std::string command_line = result.command;
        result = judge(cells_[i], read_text_file(out, "the cell's result"), &judges_);
        result.command = command_line;
      } else {
        result.error = error_line(err, exit_code);
      }
    } catch (const Error& e) {
      result.error = e.what();
    } catch (const std::exception&) {
      result.error = "its output is no result";
    }
    result.exit_code = exit_code;
    failed_ += result.failed() ? 1 : 0;
    if (result.failed()) return;
    trace::replace_file("cell", file_of(cells_[i], ".json"),
                        [&](std::ostream& stream) { stream << to_json(result, describe(cells_[i], grid_)); });
    done_[i] = true;
  }

  /// The program's own error, else the first words of the launcher.
  [[nodiscard]] std::string error_line(const fs::path& err, int exit_code) const {
    std::ifstream file(err);
    std::string words;
    constexpr std::string_view mark = "shoal: error: ";
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(mark)) return line.substr(mark.size());
      const bool has_letter =
          line.find_first_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos;
      if (words.empty() && has_letter) words = line;
    }
    if (exit_code == 127) return options_.launcher + " cannot be started (is it in PATH?)";
    return words.empty() ? "it said nothing on standard error" : words;
  }

  SweepOptions options_;
  SweepGrid grid_;
  std::vector<Cell> cells_;
  fs::path folder_;
  std::vector<CellResult> results_;
  std::vector<bool> done_;
  std::size_t failed_ = 0;
  ModelShelf judges_;
};

void print_help() {
  SweepOptions defaults;
  std::cout << "Usage: shoal sweep --config JOB.cfg [-o OUT] [options]\n\n"
               "Runs a grid of `shoal generate`, each cell in an MPI job of its own, and writes one table of medians.\n"
               "A run that was interrupted goes on where it ended. The job file:\n\n"
               "  prompt = Tell me about cats.      # options of generate, for all cells\n"
               "  [grid]                            # every combination of these\n"
               "  particles = 50, 100\n"
               "  ranks = 1, 2                      # MPI ranks\n"
               "  seed = 1..20\n"
               "  [case sequential]                 # options that belong together, crossed with the grid;\n"
               "  workers = 1                       # sections of another word are crossed with these\n"
               "  [case parallel]\n"
               "  workers = 4\n\n"
               "Options of the job file beside those of generate: ranks; scorer: a model whose log-probability of the\n"
               "answers is taken; exact-posterior = true: distance to the exact posterior, for tabular models.\n\n"
            << option_set(&defaults).shown;
}

SweepOptions parse_options(const Arguments& arguments, Parsed* parsed) {
  SweepOptions options;
  *parsed = parse(arguments, option_set(&options), "sweep");
  if (*parsed == Parsed::options) validate(&options);
  return options;
}

int write_tables(const Sweep& sweep, const SweepOptions& options, const SweepResults& results) {
  const std::string table = markdown(results);
  trace::replace_file("table", options.output + ".md", [&](std::ostream& out) { out << table; });
  std::cout << table;
  std::cout.flush();
  write_hdf5(results, options.output + ".h5");
  if (!options.quiet) print_message("wrote " + options.output + ".md and " + options.output + ".h5");
  return sweep.count_failed() > 0 ? some_cells_failed : 0;
}

}  // namespace

int sweep_command(const Arguments& arguments) {
  Parsed parsed{};
  const SweepOptions options = parse_options(arguments, &parsed);
  if (parsed == Parsed::help_wanted) {
    print_help();
    return 0;
  }
  for (const char* own : {"SHOAL_LOG_FILE", "SHOAL_LOG_LEVEL"}) unsetenv(own);  // the sweep's, not its cells'
  set_worker_threads(available_cores().usable());
  const std::string job_file = read_text_file(options.config, "config");
  SweepGrid grid = parse_sweep_file(job_file, options.config);
  std::vector<Cell> cells = make_cells(grid);
  Sweep sweep(options, std::move(grid), std::move(cells));
  if (options.dry_run) {
    sweep.list(std::cout);
    return 0;
  }
  trace::check_table_target(options.output + ".h5", table_format);
  Log log(options.log, 0);
  const ScopedSignals signals;
  const int signal = sweep.run(&log);
  if (signal != 0) {
    log.warning("ended by signal " + std::to_string(signal));
    print_message("ended by signal " + std::to_string(signal) + ": " + std::to_string(sweep.count_done()) + " of " +
                  std::to_string(sweep.count_cells()) + " cells are done and kept in " + sweep.folder().string() +
                  "; the same command goes on");
    return 128 + signal;
  }
  if (options.share.empty())
    return write_tables(sweep, options, sweep.results("shoal sweep " + shell_line(arguments), job_file));
  if (!options.quiet)
    print_message("share " + options.share + " is done; the same command without --share makes the table");
  return sweep.count_failed() > 0 ? some_cells_failed : 0;
}

}  // namespace shoal::app
