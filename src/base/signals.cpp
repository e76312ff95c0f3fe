#include "base/signals.hpp"

#include <unistd.h>

#include <csignal>

namespace shoal {
namespace {

volatile std::sig_atomic_t flag = 0;

void on_signal(int number) {
  if (flag != 0) _exit(128 + number);
  flag = number;
}

}  // namespace

ScopedSignals::ScopedSignals() {
  flag = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

ScopedSignals::~ScopedSignals() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

int received_signal() { return static_cast<int>(flag); }

}  // namespace shoal
