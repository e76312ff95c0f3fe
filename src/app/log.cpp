#include "app/log.hpp"

#include <array>
#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>

#include "shoal/error.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;

constexpr std::array<const char*, 4> level_names{"error", "warning", "info", "debug"};

LogLevel parse_level(const std::string& name) {
  for (std::size_t i = 0; i < level_names.size(); ++i)
    if (name == level_names[i]) return static_cast<LogLevel>(i);
  throw UsageError("bad --log-level '" + name + "' (not known) choose one of error, warning, info, debug");
}

/// 2026-01-31T12:34:56.789Z
std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(milliseconds));
  return text;
}

constexpr std::string_view rank_mark = "{rank}";

}  // namespace

void add_log_options(po::options_description* options, LogOptions* target) {
  options->add_options()("log-level", po::value(&target->level)->value_name("LEVEL"),
                         "error, warning, info or debug (a line per batch); without --log-file the log goes to "
                         "standard error (info if there is a file, else no log)")(
      "log-file", po::value(&target->file)->value_name("FILE"),
      "add the log of rank 0 to this file; with {rank} in its name, such as run-{rank}.log, every rank writes its own");
}

Log::Log(const LogOptions& options, int rank) : rank_(rank) {
  if (!options.level.empty()) level_ = parse_level(options.level);
  std::string path = options.file;
  const std::size_t mark = path.find(rank_mark);
  open_ = (!options.level.empty() || !path.empty()) && (rank == 0 || mark != std::string::npos);
  if (!open_ || path.empty()) return;
  if (mark != std::string::npos) path.replace(mark, rank_mark.size(), std::to_string(rank));
  file_.open(path, std::ios::app);
  if (!file_)
    throw IoError("cannot write the log '" + path +
                  "' (the folder does not exist or may not be written) choose "
                  "another --log-file");
}

void Log::write(LogLevel level, const std::string& line) {
  if (!takes(level)) return;
  std::ostream& out = file_.is_open() ? file_ : std::cerr;
  // In one write, because ranks may share it.
  out << timestamp() + " rank " + std::to_string(rank_) + ' ' + level_names[static_cast<std::size_t>(level)] + ": " +
             line + '\n'
      << std::flush;
}

void BatchLog::on_batch(const smc::BatchRecord& record) {
  char text[256];
  std::snprintf(
      text, sizeof text, "batch %u: %d tokens, ESS %.1f, log Z-hat %.4f, %s, moved %llu (%llu sent), %llu contexts; ",
      record.batch, record.tokens, record.ess, record.log_z, record.resampled ? "resampled" : "not resampled",
      static_cast<unsigned long long>(record.migration.moved), static_cast<unsigned long long>(record.migration.sent),
      static_cast<unsigned long long>(record.unique_contexts));
  log_->debug(text + phases_text(record.times));
}

std::string phases_text(const smc::PhaseTimes& times) {
  char text[192];
  std::snprintf(text, sizeof text,
                "seconds: forward %.4f, potentials %.4f, weights+collectives %.4f, migration %.4f, trace %.4f, "
                "checkpoints %.4f",
                times.decode_s, times.potential_s, times.reduce_s, times.migrate_s, times.trace_s, times.checkpoint_s);
  return text;
}

}  // namespace shoal::app
