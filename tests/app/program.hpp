// Runs the `shoal` program as a user does, alone or under mpirun.
#pragma once

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
