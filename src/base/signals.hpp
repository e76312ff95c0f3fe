// Signals: a handler that only sets a flag, installed for the lifetime of a ScopedSignals (idea: Celeritas).
#pragma once

namespace shoal {

/// The first SIGINT or SIGTERM sets the flag, the second ends the process at once with 128 + its number. One at a time;
/// the handlers found at construction are put back.
class ScopedSignals {
 public:
  ScopedSignals();
  ~ScopedSignals();
  ScopedSignals(const ScopedSignals&) = delete;
  ScopedSignals& operator=(const ScopedSignals&) = delete;
};

/// Number of the signal received while a ScopedSignals lives, 0 if none.
int received_signal();

}  // namespace shoal
