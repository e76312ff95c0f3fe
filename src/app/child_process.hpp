// ChildProcess: a program that runs beside this one, in a process group of its own, so that Ctrl-C does not reach it,
// and that ends if this process is killed.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace shoal::app {

class ChildProcess {
 public:
  /// Starts @p command, looked up in PATH, with nothing on its standard input and its output in the files @p out and
  /// @p err. Variables of an MPI job that this process may belong to are hidden from it.
  /// @throws IoError if it cannot be started
  ChildProcess(const std::vector<std::string>& command, const std::string& out, const std::string& err);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  /// Kills it, with its group, if it is still there.
  ~ChildProcess();

  /// Waits for up to @p seconds, less if a signal comes. @return whether it has ended
  bool wait(double seconds);
  void ask_to_end() const;
  /// As a shell has it: 128 + signal if one ended it, 127 if there is no such program.
  [[nodiscard]] int exit_code() const { return exit_code_; }

 private:
  pid_t pid_ = -1;
  int exit_code_ = -1;
};

/// The entries of @p environment ("NAME=value") that a new MPI job may see: without what mpirun and srun tell their
/// processes, but with the user's own settings.
std::vector<std::string> environment_for_new_job(const std::vector<std::string>& environment);

}  // namespace shoal::app
