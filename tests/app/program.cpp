#include "app/program.hpp"

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace shoal::test {
namespace {

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

ProgramResult run_shoal(const std::vector<std::string>& arguments, int ranks, const std::string& input,
                        const std::string& environment) {
  const TemporaryFolder folder;
  std::string command = environment + " timeout -k 5 60 ";
  if (ranks > 0) command += "mpirun --oversubscribe --bind-to none -n " + std::to_string(ranks) + " ";
  command += quoted(SHOAL_PROGRAM);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command +=
      " <" + quoted(folder.write("in", input)) + " >" + quoted(folder.path("out")) + " 2>" + quoted(folder.path("err"));
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_all(folder.path("out")),
          read_all(folder.path("err"))};
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "shoal-test-XXXXXX").string();
  folder_ = mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(folder_); }

std::string TemporaryFolder::write(const std::string& name, const std::string& content) const {
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}

std::string read_all(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

}  // namespace shoal::test
