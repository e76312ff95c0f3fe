#include "app/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/signals.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

std::vector<char*> pointers(std::vector<std::string>* texts) {
  std::vector<char*> list;
  for (std::string& text : *texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

void redirect(int to, const char* path, int flags) {
  const int file = open(path, flags, 0644);
  if (file < 0 || dup2(file, to) < 0) _exit(126);
  close(file);
}

/// Only what is allowed between fork and exec.
[[noreturn]] void become(char** argv, char** environment, const char* out, const char* err, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(126);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) signal(number, SIG_DFL);
  redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
  redirect(STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_TRUNC);
  redirect(STDERR_FILENO, err, O_WRONLY | O_CREAT | O_TRUNC);
  execvpe(argv[0], argv, environment);
  _exit(127);
}

bool starts_with_any(const std::string& text, std::initializer_list<const char*> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](const char* b) { return text.starts_with(b); });
}

}  // namespace

std::vector<std::string> environment_for_new_job(const std::vector<std::string>& environment) {
  std::vector<std::string> kept;
  for (const std::string& entry : environment) {
    const bool setting = starts_with_any(entry, {"OMPI_MCA_", "OMPI_ALLOW_RUN_AS_ROOT", "PMIX_MCA_", "PRTE_MCA_"});
    const bool launched = starts_with_any(
        entry, {"OMPI_MCA_ess", "OMPI_MCA_orte_ess_", "OMPI_MCA_orte_hnp_uri", "OMPI_MCA_orte_local_daemon_uri",
                "OMPI_MCA_orte_app_num", "OMPI_MCA_orte_num_nodes", "OMPI_MCA_orte_bound_at_launch",
                "OMPI_MCA_orte_jobfam_session_dir", "OMPI_MCA_orte_precondition_transports",
                "OMPI_MCA_pmix=", "OMPI_MCA_initial_wdir", "OMPI_MCA_shmem_RUNTIME_QUERY_hint"});
    const bool of_mpi = starts_with_any(entry, {"OMPI_", "PMIX_", "PMI_", "PMI2_", "PRTE_"});
    if (!of_mpi || (setting && !launched)) kept.push_back(entry);
  }
  return kept;
}

ChildProcess::ChildProcess(const std::vector<std::string>& command, const std::string& out, const std::string& err) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  std::vector<std::string> words = command;
  std::vector<std::string> variables = environment_for_new_job(all);
  const std::vector<char*> argv = pointers(&words);
  const std::vector<char*> environment = pointers(&variables);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0)
    become(const_cast<char**>(argv.data()), const_cast<char**>(environment.data()), out.c_str(), err.c_str(), parent);
  if (pid_ < 0)
    throw IoError("cannot start " + command.front() + " (" + std::strerror(errno) + ") free some processes or memory");
}

ChildProcess::~ChildProcess() {
  if (exit_code_ >= 0) return;
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool ChildProcess::wait(double seconds) {
  const int signal_before = received_signal();
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (;;) {
    int status = 0;
    if (exit_code_ < 0 && waitpid(pid_, &status, WNOHANG) == pid_)
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (exit_code_ >= 0) return true;
    if (std::chrono::steady_clock::now() >= end || received_signal() != signal_before) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void ChildProcess::ask_to_end() const { kill(pid_, SIGTERM); }

}  // namespace shoal::app
