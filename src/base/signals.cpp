#include "base/signals.hpp"

#include <unistd.h>

#include <csignal>

namespace shoal {
namespace {

volatile std::sig_atomic_t flag = 0;
struct sigaction previous_interrupt {};
struct sigaction previous_terminate {};

void on_signal(int number) {
  if (flag != 0) _exit(128 + number);
  flag = number;
}

}  // namespace

ScopedSignals::ScopedSignals() {
  flag = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, &previous_interrupt);
  sigaction(SIGTERM, &action, &previous_terminate);
}

ScopedSignals::~ScopedSignals() {
  sigaction(SIGINT, &previous_interrupt, nullptr);
  sigaction(SIGTERM, &previous_terminate, nullptr);
  flag = 0;
}

int received_signal() { return static_cast<int>(flag); }

}  // namespace shoal
