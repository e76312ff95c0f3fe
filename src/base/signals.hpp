// Signals: handlers that only set flags, installed for the lifetime of a ScopedSignals (idea: Celeritas).
#pragma once

namespace shoal {

/// The first SIGINT, SIGTERM or SIGUSR2 asks the run to end, the second ends the process at once with 128 + its number.
/// (mpirun passes SIGUSR2 on, but answers SIGINT and SIGTERM by killing the job a second later.) SIGUSR1 asks for a
/// checkpoint. One at a time; the handlers found at construction are put back.
class ScopedSignals {
 public:
  ScopedSignals();
  ~ScopedSignals();
  ScopedSignals(const ScopedSignals&) = delete;
  ScopedSignals& operator=(const ScopedSignals&) = delete;
};

/// Number of the signal that asked for an end while a ScopedSignals lives, 0 if none.
int received_signal();

/// Whether SIGUSR1 came since the last call.
bool take_checkpoint_request();

}  // namespace shoal
