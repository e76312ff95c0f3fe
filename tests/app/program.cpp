#include "app/program.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <thread>

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

std::vector<std::string> shoal_command(const std::vector<std::string>& arguments, int ranks) {
  std::vector<std::string> command;
  if (ranks > 0) command = {"mpirun", "--oversubscribe", "--bind-to", "none", "-n", std::to_string(ranks)};
  command.emplace_back(SHOAL_PROGRAM);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

RunningProgram::RunningProgram(const std::vector<std::string>& command, const TemporaryFolder& folder) {
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string out = folder.path("out");
  const std::string err = folder.path("err");
  pid_ = fork();
  if (pid_ != 0) return;
  setpgid(0, 0);
  const bool redirected = std::freopen("/dev/null", "r", stdin) != nullptr &&
                          std::freopen(out.c_str(), "w", stdout) != nullptr &&
                          std::freopen(err.c_str(), "w", stderr) != nullptr;
  if (redirected) execvp(argv[0], argv.data());
  _exit(126);
}

RunningProgram::~RunningProgram() {
  if (ended()) return;
  for (const pid_t rank : ranks()) kill(rank, SIGKILL);
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::vector<pid_t> RunningProgram::ranks() const {
  std::vector<pid_t> open{pid_};
  std::map<int, pid_t> found;
  while (!open.empty()) {
    const pid_t process = open.back();
    open.pop_back();
    const std::string folder = "/proc/" + std::to_string(process);
    const std::string environment = read_all(folder + "/environ");
    constexpr std::string_view variable = "OMPI_COMM_WORLD_RANK=";
    const std::size_t at = environment.find(variable);
    const bool is_rank = at != std::string::npos && read_all(folder + "/comm") == "shoal\n";
    if (is_rank) found[std::atoi(environment.c_str() + at + variable.size())] = process;
    std::error_code gone;
    for (const auto& thread : std::filesystem::directory_iterator(folder + "/task", gone)) {
      std::istringstream children(read_all(thread.path() / "children"));
      for (pid_t child = 0; children >> child;) open.push_back(child);
    }
  }
  std::vector<pid_t> ranks;
  for (const auto& [rank, process] : found) ranks.push_back(process);
  return ranks;
}

bool RunningProgram::ended() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

int RunningProgram::wait(double limit_s) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(limit_s);
  while (!ended()) {
    if (std::chrono::steady_clock::now() > end) return -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

int RunningProgram::wait_for_ranks(double limit_s) {
  const int code = wait(limit_s);
  return code == -1 && ranks().empty() ? 128 + SIGKILL : code;
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
