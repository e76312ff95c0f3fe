// Errors meant for the user: one line, "problem (why) what to do", with the exit code it stands for.
#pragma once

#include <stdexcept>
#include <string>

namespace shoal {

/// Process exit codes, fixed for scripts.
/// (lost: another process of the job hangs or is gone; starting again may help.)
enum class ExitCode : int { done = 0, usage = 2, model = 3, extinct = 4, io = 5, internal = 70, lost = 75 };

/// Base of every error that a user can cause and mend.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& line) : std::runtime_error(line), code_(code) {}
  [[nodiscard]] ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Bad option, prompt, pattern or job file (exit code 2).
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& line) : Error(ExitCode::usage, line) {}
};

/// A checkpoint or tokenizer that cannot be loaded (exit code 3).
class ModelError : public Error {
 public:
  explicit ModelError(const std::string& line) : Error(ExitCode::model, line) {}
};

/// A trace, checkpoint or report that cannot be read or written (exit code 5).
class IoError : public Error {
 public:
  explicit IoError(const std::string& line) : Error(ExitCode::io, line) {}
};

}  // namespace shoal
