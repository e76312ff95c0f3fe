// The run loop: extend by a token batch, reweight, resample; until all particles are finished or someone says stop.
// Target gamma_t(x) = p(x) * prod_k phi_k,prefix(x) unfinished, p(x) * prod_k phi_k,complete(x) finished.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shoal/language_model.hpp"
#include "shoal/potential.hpp"
#include "smc/options.hpp"
#include "smc/phase_times.hpp"
#include "smc/run_state.hpp"
#include "smc/transport.hpp"

namespace shoal::smc {

enum class FinishReason { completed, max_tokens, early_stop, timeout, signal, extinct };
std::string_view to_string(FinishReason reason);

/// One row per batch, complete on rank 0, in logical order. Vectors of the particle kind have N entries, or none in a
/// run that is weighed in blocks.
struct BatchRecord {
  std::uint32_t batch = 0;
  double time_s = 0.0;  ///< since the run began
  int tokens = 0;       ///< token steps in this batch (<= batch size)
  double ess = 0.0;     ///< before resampling
  double log_z = 0.0;   ///< estimate after this batch
  bool resampled = false;
  MigrationStats migration;
  std::uint64_t unique_contexts = 0;  ///< rows of the last forward pass, summed over ranks
  PhaseTimes times;
  std::vector<double> log_weight;       ///< after reweighting, before resampling; logsumexp - ln N = log_z
  std::vector<std::uint32_t> ancestor;  ///< parent of slot i at the *end* of this batch (identity if not resampled)
  std::vector<std::int32_t> rank;       ///< owner while this batch was decoded
  std::vector<std::int32_t> token;      ///< [N, batch size], -1 padded; the end of sequence is recorded as its token id
  std::vector<std::uint8_t> finished;
  std::vector<double> potential;  ///< [potentials, N]: log value (prefix, or complete if finished)
};

/// Called on rank 0 after each batch.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_batch(const BatchRecord& record) = 0;
  /// Between tokens, on rank 0, for progress: token steps so far.
  virtual void on_token(int /*tokens_done*/) {}
};

struct ParticleResult {
  std::uint64_t count = 1;  ///< particles that this entry stands for
  std::string text;
  std::vector<TokenId> tokens;  ///< without the end of sequence
  double log_weight = 0.0;      ///< logsumexp - ln N = log_z
  bool finished = false;
};

struct PosteriorEntry {
  std::string text;
  double probability = 0.0;
};

struct RunResult {
  FinishReason reason = FinishReason::completed;  ///< equal on all ranks
  int signal = 0;                                 ///< its number if reason is signal
  double log_z = 0.0;                             ///< equal on all ranks
  double ess = 0.0;
  std::string extinct_by;  ///< potential that killed the last particles, if extinct
  std::uint32_t batches = 0;
  int token_steps = 0;
  std::uint64_t particle_tokens = 0;  ///< tokens drawn, over all ranks
  MigrationStats migration;           ///< totals
  PhaseTimes times;                   ///< totals of this rank
  double wall_s = 0.0;                ///< with the time before a restart, as the other totals of rank 0
  // Rank 0 only:
  std::vector<ParticleResult> particles;  ///< logical order; in blocks equal ones are one entry, the heaviest first
  std::uint64_t unlisted = 0;             ///< particles that no entry stands for: in blocks, if they differ too much
  std::vector<PosteriorEntry> posterior;  ///< distinct texts by falling probability, ties by text; in blocks the first
  std::string response;                   ///< most probable text; finished ones first
};

/// What a run may have beside its arguments.
struct Attachments {
  Observer* observer = nullptr;          ///< of rank 0
  Checkpointer* checkpointer = nullptr;  ///< of rank 0
  const RunState* start = nullptr;       ///< where to go on; equal on all ranks
};

/// Runs on every rank of @p transport with equal arguments. A run that goes on from a state ends in the same bits as
/// the one that the state was taken from, on any number of ranks.
/// @throws UsageError if a potential is zero on the empty text, or the state is not one of this run; Error on NaN
///         weights (with the particle's id)
RunResult run(const LanguageModel& model, std::span<const TokenId> prompt, std::span<const PotentialPtr> potentials,
              const Options& options, Transport& transport, const Attachments& attachments);
RunResult run(const LanguageModel& model, std::span<const TokenId> prompt, std::span<const PotentialPtr> potentials,
              const Options& options, Transport& transport, Observer* observer = nullptr);

/// The one-process Transport; @p timeout_s <= 0: none. The clock starts at construction.
class SingleProcess final : public Transport {
 public:
  explicit SingleProcess(double timeout_s = 0.0);
  [[nodiscard]] Rank rank() const override { return Rank{0}; }
  [[nodiscard]] int size() const override { return 1; }
  void allreduce_max(std::span<double> values) override;
  [[nodiscard]] MigrationPlan plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                   double spare) const override;
  std::unique_ptr<Shipment> ship(std::vector<Parcel> outgoing, std::vector<Parcel> incoming) override;
  std::vector<std::string> gather(std::string_view mine) override;
  bool deadline_passed() override;

 private:
  double deadline_s_;  ///< on the steady clock
};

}  // namespace shoal::smc
