// RunState: everything that a run needs to go on from the end of a token batch, on any number of ranks. Logical only:
// no random numbers (they are keyed by counters), no ranks, no key/value blocks (they are computed again from the
// tokens).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/ids.hpp"
#include "shoal/potential.hpp"
#include "smc/options.hpp"
#include "smc/phase_times.hpp"
#include "smc/stop_strings.hpp"
#include "smc/transport.hpp"

namespace shoal {
class ByteReader;
class ByteWriter;
}  // namespace shoal

namespace shoal::smc {

enum class Status : std::uint8_t {
  growing,
  ended,    ///< drew the end of sequence
  stopped,  ///< reached a stop string
  forced,   ///< had max_tokens and was made to end
  dead      ///< weight 0
};

inline bool is_finished(Status s) { return s == Status::ended || s == Status::stopped || s == Status::forced; }

/// Which factor became zero: potential k, or the model.
using Culprit = std::int32_t;
inline constexpr Culprit model_culprit = -1;

struct Death {
  std::uint32_t step = 0;
  Culprit culprit = model_culprit;
};

/// What particles with the same tokens have in common.
struct HistoryState {
  Status status = Status::growing;
  std::vector<TokenId> tokens;  ///< drawn so far, without the end of sequence
  std::string text;             ///< their bytes, cut before a stop string
  StopStrings::State stop_state = StopStrings::start();
  std::vector<PotentialState> states;  ///< by potential; an expensive one's is as of the start of the batch
  std::vector<double> values;          ///< by potential: log_prefix, or log_complete once finished
  double log_weight = 0.0;             ///< at the start of the batch
  Death death;
};

void put(const HistoryState& history, ByteWriter* out);
/// @throws std::out_of_range on a short buffer
void get(ByteReader* in, HistoryState* history);

/// A run between two token batches.
struct RunState {
  std::uint32_t batches = 0;          ///< completed
  std::uint32_t steps = 0;            ///< tokens so far
  std::uint64_t particle_tokens = 0;  ///< tokens drawn, over all ranks
  MigrationStats migration;           ///< totals
  double elapsed_s = 0.0;             ///< since the run began
  PhaseTimes times;                   ///< totals of rank 0
  std::vector<HistoryState> histories;
  std::vector<std::uint32_t> history_of;  ///< of each particle, by logical id: an index
};

/// As bytes for other processes of the same program.
std::string to_bytes(const RunState& state);
/// @throws std::out_of_range on a short buffer
RunState run_state_from(std::string_view bytes);

/// @throws UsageError if @p state cannot be one of a run with these arguments
void check_fit(const RunState& state, const Options& options, std::span<const PotentialPtr> potentials,
               int vocabulary_size);

/// Takes the state of a run at the end of a batch.
class Checkpointer {
 public:
  virtual ~Checkpointer() = default;
  /// Asked towards the end of each batch, on rank 0: whether write is to be called after it.
  virtual bool due() = 0;
  /// On rank 0, after the observer has seen the batch. When a signal or the deadline cuts a batch short, the state is
  /// that at its start, and the observer has not seen the part of it yet.
  virtual void write(const RunState& state) = 0;
};

}  // namespace shoal::smc
