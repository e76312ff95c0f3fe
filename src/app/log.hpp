// Log: what happens in a run, as lines with time, rank and level, for reading afterwards. (What the user has to know at
// once is said on standard error, whatever the log.)
#pragma once

#include <fstream>
#include <string>

#include "app/command_line.hpp"
#include "smc/run.hpp"

namespace shoal::app {

enum class LogLevel { error, warning, info, debug };

struct LogOptions {
  std::string level;  ///< empty: info if there is a file, else no log
  std::string file;   ///< empty: standard error; "{rank}" stands for the rank, and without it only rank 0 writes
};
/// --log-level and --log-file.
void add_log_options(boost::program_options::options_description* options, LogOptions* target);

class Log {
 public:
  /// Silent.
  Log() = default;
  /// A file is continued if it is there.
  /// @throws UsageError for an unknown level, IoError if the file cannot be written
  Log(const LogOptions& options, int rank);

  void error(const std::string& line) { write(LogLevel::error, line); }
  void warning(const std::string& line) { write(LogLevel::warning, line); }
  void info(const std::string& line) { write(LogLevel::info, line); }
  void debug(const std::string& line) { write(LogLevel::debug, line); }
  [[nodiscard]] bool takes(LogLevel level) const { return open_ && level <= level_; }

 private:
  void write(LogLevel level, const std::string& line);

  bool open_ = false;
  LogLevel level_ = LogLevel::info;
  int rank_ = 0;
  std::ofstream file_;  ///< closed: standard error
};

/// A debug line per batch.
class BatchLog final : public smc::Observer {
 public:
  explicit BatchLog(Log* log) : log_(log) {}
  void on_batch(const smc::BatchRecord& record) override;

 private:
  Log* log_;
};

/// Seconds of this rank by phase, for a log line.
std::string phases_text(const smc::PhaseTimes& times);

}  // namespace shoal::app
