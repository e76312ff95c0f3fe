// Runs the `shoal` program as a user does, alone or under mpirun.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace shoal::test {

struct ProgramResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// @param ranks   0: without mpirun
/// @param input   given on standard input
/// A run that takes over a minute is killed (exit code 124).
ProgramResult run_shoal(const std::vector<std::string>& arguments, int ranks = 0, const std::string& input = "",
                        const std::string& environment = "");

/// A program that is still running: started in the background, watched and killed from outside.
class RunningProgram {
 public:
  /// @param command program and arguments; output goes to the files out and err of @p folder
  RunningProgram(const std::vector<std::string>& command, const class TemporaryFolder& folder);
  /// Kills it and all its children if they are still there.
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// The `shoal` processes below it, by rank.
  [[nodiscard]] std::vector<pid_t> ranks() const;
  [[nodiscard]] bool ended();
  /// @return exit code, 128 + signal, or -1 if it is still running after @p limit_s
  int wait(double limit_s);
  /// As above, but 128 + SIGKILL if by then mpirun has outlived all ranks: Open MPI 4 can lock up in its own end after
  /// a rank was killed while it joined.
  int wait_for_ranks(double limit_s);

 private:
  pid_t pid_;
  int status_ = -1;
  bool ended_ = false;
};

/// `mpirun -n ranks shoal arguments`, or shoal alone for 0 ranks.
std::vector<std::string> shoal_command(const std::vector<std::string>& arguments, int ranks);

/// A fresh folder, removed at destruction.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  /// Writes a file and returns its path.
  [[nodiscard]] std::string write(const std::string& name, const std::string& content) const;

 private:
  std::string folder_;
};

std::string read_all(const std::string& path);
int count(const std::string& text, const std::string& part);

}  // namespace shoal::test
