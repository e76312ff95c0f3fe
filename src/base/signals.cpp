#include "base/signals.hpp"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>

namespace shoal {
namespace {

volatile std::sig_atomic_t end_requested = 0;
volatile std::sig_atomic_t checkpoint_requested = 0;

void request_end(int number) {
  if (end_requested != 0) _exit(128 + number);
  end_requested = number;
}

void request_checkpoint(int /*number*/) { checkpoint_requested = 1; }

struct Handled {
  int number;
  void (*handler)(int);
};
constexpr std::array handled{Handled{SIGINT, request_end}, Handled{SIGTERM, request_end}, Handled{SIGUSR2, request_end},
                             Handled{SIGUSR1, request_checkpoint}};
std::array<struct sigaction, handled.size()> previous{};

}  // namespace

ScopedSignals::ScopedSignals() {
  end_requested = 0;
  checkpoint_requested = 0;
  for (std::size_t i = 0; i < handled.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = handled[i].handler;
    action.sa_flags = SA_RESTART;
    sigaction(handled[i].number, &action, &previous[i]);
  }
}

ScopedSignals::~ScopedSignals() {
  for (std::size_t i = 0; i < handled.size(); ++i) sigaction(handled[i].number, &previous[i], nullptr);
  end_requested = 0;
  checkpoint_requested = 0;
}

int received_signal() { return static_cast<int>(end_requested); }

bool take_checkpoint_request() {
  if (checkpoint_requested == 0) return false;
  checkpoint_requested = 0;
  return true;
}

}  // namespace shoal
