#include "smc/run.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <numeric>
#include <optional>

#include "base/signals.hpp"
#include "base/stopwatch.hpp"
#include "shoal/error.hpp"
#include "smc/ballot.hpp"
#include "smc/decoder.hpp"
#include "smc/migration.hpp"
#include "smc/report.hpp"
#include "smc/selection.hpp"

namespace shoal::smc {
namespace {

PhaseTimes operator-(const PhaseTimes& a, const PhaseTimes& b) {
  return {a.decode_s - b.decode_s,   a.potential_s - b.potential_s, a.reduce_s - b.reduce_s,
          a.migrate_s - b.migrate_s, a.trace_s - b.trace_s,         a.checkpoint_s - b.checkpoint_s};
}
PhaseTimes operator+(const PhaseTimes& a, const PhaseTimes& b) { return a - (PhaseTimes{} - b); }

void add(const MigrationStats& stats, MigrationStats* total) {
  total->moved += stats.moved;
  total->between_nodes += stats.between_nodes;
  total->sent += stats.sent;
  total->messages += stats.messages;
  total->bytes += stats.bytes;
}

/// The state of one run on one rank.
class Run {
 public:
  Run(const LanguageModel& model, std::span<const PotentialPtr> potentials, const Options& options,
      Transport* transport, const Attachments& attachments)
      : model_(model),
        potentials_(potentials),
        options_(options),
        transport_(transport),
        is_root_(transport->rank() == Rank{0}),
        observer_(is_root_ ? attachments.observer : nullptr),
        checkpointer_(is_root_ ? attachments.checkpointer : nullptr),
        start_(attachments.start),
        patience_(options.patience),
        in_blocks_(weighed_in_blocks(options)),
        selection_(in_blocks_ ? select_in_blocks(options, transport)
                              : select_in_vectors(options, potentials.size(), transport)) {}

  RunResult execute(std::span<const TokenId> prompt);

 private:
  struct Decision {
    std::optional<FinishReason> reason;  ///< nothing: go on
    double log_z = 0.0;
    double ess = 0.0;
    std::size_t tokens = 0;  ///< of the batch
  };

  void open(std::span<const TokenId> prompt);
  void start_particles();
  void go_on_from(const RunState& state);
  Ballot decode_batch();
  void decode_tokens(Ballot* ballot);
  bool told_to_stop(Ballot* ballot);
  void receive(Ballot* ballot);
  void pass_on();
  Ballot cut_batch(const Ballot& first);
  template <class Action>
  void attempt(const Action& action);
  void agree(Ballot* ballot);
  void settle(Ballot* ballot);
  Decision decide(const Ballot& ballot);
  Weighing weigh(const Ballot& ballot);
  [[nodiscard]] std::optional<FinishReason> finish_reason(const Ballot& ballot, const Weighing& weighing) const;
  void end_batch(const Ballot& ballot, const Decision& decision);
  [[nodiscard]] BatchRecord start_record(const Ballot& ballot, const Decision& decision);
  void resample(double log_weight, BatchRecord* record);
  std::uint64_t migrate(const Offspring& offspring);
  void linger();
  void save();
  void publish(BatchRecord* record);
  RunResult finish(const Ballot& ballot, const Decision& decision);
  [[nodiscard]] std::uint64_t sum_over_ranks(std::uint64_t mine);
  [[nodiscard]] PhaseTimes times() const;
  [[nodiscard]] std::string name_of(Culprit culprit) const;

  const LanguageModel& model_;
  std::span<const PotentialPtr> potentials_;
  const Options& options_;
  Transport* transport_;
  bool is_root_;
  Observer* observer_;
  Checkpointer* checkpointer_;
  const RunState* start_;  ///< or null
  double patience_;        ///< with what travels, in token steps
  bool in_blocks_;
  std::unique_ptr<Selection> selection_;
  bool observed_ = false;       ///< some rank has an observer
  bool checkpointed_ = false;   ///< some rank has a checkpointer
  std::exception_ptr failure_;  ///< of this rank, since the ranks last agreed

  std::unique_ptr<ContextTree> tree_;
  std::optional<Population> population_;
  std::optional<Decoder> decoder_;
  std::uint32_t batches_ = 0;
  std::uint32_t steps_ = 0;             ///< tokens, on all ranks
  std::optional<std::uint32_t> saved_;  ///< batches_ when the state was last written
  std::uint64_t tokens_before_ = 0;     ///< drawn before the state that the run went on from; rank 0
  std::uint64_t tokens_at_start_ = 0;   ///< drawn by this rank up to the start of the batch
  std::optional<Migration> migration_;  ///< the last one
  MigrationStats moved_;                ///< in all
  double step_s_ = 0.0;                 ///< a token step of the last batch took
  Stopwatch clock_;
  double seconds_before_ = 0.0;  ///< as tokens_before_
  PhaseTimes times_;             ///< without those that the decoder keeps
  PhaseTimes reported_;
};

RunResult Run::execute(std::span<const TokenId> prompt) {
  open(prompt);
  for (;;) {
    const Ballot ballot = decode_batch();
    const Decision decision = decide(ballot);
    const bool cut = decision.reason == FinishReason::signal || decision.reason == FinishReason::timeout;
    if (cut) save();  // the start of the batch: where an uninterrupted run reweights and resamples
    if (decision.tokens > 0) end_batch(ballot, decision);
    if (decision.reason) return finish(ballot, decision);
    if (ballot.checkpoint > 0.0) save();
  }
}

void Run::open(std::span<const TokenId> prompt) {
  const auto particles = static_cast<std::size_t>(options_.particles);
  const std::size_t most = rank_capacity(particles, transport_->size(), in_blocks_ ? 0.0 : options_.spare);
  const ContextLimits limits{.contexts = static_cast<int>(most) + 1, .new_tokens = options_.max_tokens};
  attempt([&] {
    if (start_ != nullptr) check_fit(*start_, options_, potentials_, model_.vocabulary().size());
    tree_ = model_.open(prompt, limits);
    decoder_.emplace(model_, tree_.get(), potentials_, options_);
    start_particles();
  });
  Ballot ballot;
  ballot.observed = observer_ != nullptr ? 1.0 : 0.0;
  ballot.checkpoint = checkpointer_ != nullptr ? 1.0 : 0.0;
  agree(&ballot);
  observed_ = ballot.observed > 0.0;
  checkpointed_ = ballot.checkpoint > 0.0;
}

void Run::start_particles() {
  std::vector<LogicalId> ids = first_ids(static_cast<std::size_t>(options_.particles), *transport_);
  if (start_ == nullptr) {
    population_.emplace(tree_.get(), potentials_, std::move(ids));
    return;
  }
  const ScopedTimer timer(&times_.decode_s);
  population_.emplace(tree_.get(), static_cast<std::size_t>(model_.vocabulary().size()), *start_, std::move(ids));
  go_on_from(*start_);
}

void Run::go_on_from(const RunState& state) {
  batches_ = state.batches;
  steps_ = state.steps;
  moved_ = state.migration;
  seconds_before_ = state.elapsed_s;
  if (!is_root_) return;
  tokens_before_ = state.particle_tokens;
  times_ = times_ + state.times;
  reported_ = state.times;
}

/// Does what only this rank does. If it throws, all ranks will when they next agree; until then nothing more is done.
template <class Action>
void Run::attempt(const Action& action) {
  if (failure_) return;
  try {
    action();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void Run::agree(Ballot* ballot) {
  const ScopedTimer timer(&times_.reduce_s);
  settle(ballot);
}

/// One allreduce. A rank that failed takes part, so that no other waits for it; then all throw.
void Run::settle(Ballot* ballot) {
  if (failure_) ballot->failed_rank = transport_->rank().value();
  ballot->agree(transport_);
  if (failure_) std::rethrow_exception(failure_);
  if (ballot->failed_rank >= 0.0)
    throw PeerError("rank " + std::to_string(static_cast<int>(ballot->failed_rank)) + " failed");
  if (ballot->bad_particle >= 0.0)
    throw Error(ExitCode::internal, "particle " + std::to_string(static_cast<std::uint32_t>(ballot->bad_particle)) +
                                        " has a weight of NaN or infinity (the model or a potential returned one) "
                                        "check the potentials, then the model");
}

Ballot Run::decode_batch() {
  Ballot ballot = selection_->empty_ballot();
  attempt([&] {
    decode_tokens(&ballot);
    ballot.count(*population_);
  });
  pass_on();
  agree(&ballot);
  return static_cast<double>(ballot.agreed_tokens()) < ballot.steps ? cut_batch(ballot) : ballot;
}

/// Particles that have come late from another rank make their tokens by themselves until they are level with the
/// others.
void Run::decode_tokens(Ballot* ballot) {
  const auto batch_size = static_cast<std::size_t>(options_.batch_size);
  const Stopwatch watch;
  const double waited_before = times_.migrate_s;
  for (;;) {
    receive(ballot);
    const auto [most, least, made] = population_->progress();
    if (!made || *made == batch_size || told_to_stop(ballot)) break;
    decoder_->advance(&*population_, steps_ + static_cast<std::uint32_t>(*made), *made);
    if (observer_ != nullptr && *made == most) observer_->on_token(static_cast<int>(steps_ + most + 1));
  }
  decoder_->settle();
  if (checkpointed_)
    ballot->checkpoint = take_checkpoint_request() || (checkpointer_ && checkpointer_->due()) ? 1.0 : 0.0;
  const Population::Progress progress = population_->progress();
  const double waited = times_.migrate_s - waited_before;
  step_s_ = (watch.seconds() - waited) / static_cast<double>(std::max<std::size_t>(1, progress.most));
  ballot->steps = static_cast<double>(progress.most);
  ballot->minus_limit = -static_cast<double>(progress.least.value_or(batch_size));
  decoder_->evaluate_expensive(&*population_, steps_ + static_cast<std::uint32_t>(progress.most));
}

bool Run::told_to_stop(Ballot* ballot) {
  ballot->deadline = transport_->deadline_passed() ? 1.0 : 0.0;
  ballot->signal = received_signal();
  return ballot->deadline > 0.0 || ballot->signal > 0.0;
}

/// Looks for data from other ranks; waits for it only if there is nothing else to do.
void Run::receive(Ballot* ballot) {
  if (!migration_) return;
  const ScopedTimer timer(&times_.migrate_s);
  const auto [most, least, least_ready] = population_->progress();
  const bool idle = !least_ready || *least_ready == static_cast<std::size_t>(options_.batch_size);
  if (idle && least && *least != least_ready) {
    migration_->wait([&] { return told_to_stop(ballot); });
    if (migration_->relays()) linger();
  }
  if (migration_->poll()) population_->end_waiting();
}

/// Others may still wait for what this rank relays, however its own batch ended.
void Run::pass_on() {
  if (!migration_) return;
  const ScopedTimer timer(&times_.migrate_s);
  migration_->pass_on();
  if (!failure_) failure_ = migration_->failure();
}

/// Some rank has stopped earlier than another: all go back to the last token that every rank has made.
Ballot Run::cut_batch(const Ballot& first) {
  Ballot ballot = selection_->empty_ballot();
  const std::size_t tokens = first.agreed_tokens();
  attempt([&] {
    decoder_->cut(&*population_, tokens);
    decoder_->evaluate_expensive(&*population_, steps_ + static_cast<std::uint32_t>(tokens));
    ballot.count(*population_);
  });
  ballot.deadline = first.deadline;
  ballot.signal = first.signal;
  ballot.checkpoint = first.checkpoint;
  ballot.steps = static_cast<double>(tokens);
  ballot.minus_limit = -ballot.steps;
  agree(&ballot);
  return ballot;
}

Run::Decision Run::decide(const Ballot& ballot) {
  Decision decision;
  const Weighing weighing = weigh(ballot);
  decision.log_z = log_mean_weight(weighing.sums);
  decision.ess = effective_sample_size(weighing.sums);
  decision.tokens = ballot.agreed_tokens();
  decision.reason = finish_reason(ballot, weighing);
  return decision;
}

Weighing Run::weigh(const Ballot& ballot) {
  const ScopedTimer timer(&times_.reduce_s);
  return selection_->weigh(ballot, *population_);
}

std::optional<FinishReason> Run::finish_reason(const Ballot& ballot, const Weighing& weighing) const {
  if (weighing.sums.extinct()) return FinishReason::extinct;
  if (ballot.growing == 0.0) return ballot.forced > 0.0 ? FinishReason::max_tokens : FinishReason::completed;
  if (options_.early_stop < 1.0 &&
      static_cast<double>(weighing.finished) >= options_.early_stop * static_cast<double>(weighing.sums.total))
    return FinishReason::early_stop;
  if (ballot.signal > 0.0) return FinishReason::signal;
  if (ballot.deadline > 0.0) return FinishReason::timeout;
  return std::nullopt;
}

void Run::end_batch(const Ballot& ballot, const Decision& decision) {
  std::optional<BatchRecord> record;
  if (observed_) record = start_record(ballot, decision);
  for (History& history : population_->histories()) history.begin_batch();
  steps_ += static_cast<std::uint32_t>(decision.tokens);
  tokens_at_start_ = decoder_->particle_tokens();

  const bool enough = decision.ess >= options_.ess_threshold * options_.particles;
  if (!decision.reason && !enough) resample(decision.log_z, record ? &*record : nullptr);
  ++batches_;
  if (observer_ != nullptr) attempt([&] { publish(&*record); });
}

BatchRecord Run::start_record(const Ballot& ballot, const Decision& decision) {
  const ScopedTimer timer(&times_.trace_s);
  BatchRecord record;
  record.batch = batches_;
  record.tokens = static_cast<int>(decision.tokens);
  record.ess = decision.ess;
  record.log_z = decision.log_z;
  record.unique_contexts = sum_over_ranks(decoder_->distinct_contexts());
  const auto end = model_.vocabulary().end_tokens();
  selection_->describe(ballot, *population_, end.empty() ? TokenId{-1} : end.front(), &record);
  return record;
}

/// @param record or null
void Run::resample(double log_weight, BatchRecord* record) {
  const ScopedTimer timer(&times_.migrate_s);
  Offspring offspring = selection_->resample(batches_, *population_);
  if (offspring.moves) offspring.stats.bytes = migrate(offspring);
  attempt([&] {
    population_->rebuild(offspring.births, offspring.moves ? migration_->take_arrivals() : Arrivals(), log_weight);
  });
  add(offspring.stats, &moved_);
  if (record == nullptr) return;
  record->resampled = true;
  record->migration = offspring.stats;
  record->ancestor = std::move(offspring.ancestor);
}

/// Key/value blocks travel only once every rank has packed its own and made room for the others'.
/// @return bytes that travel between all ranks
std::uint64_t Run::migrate(const Offspring& offspring) {
  migration_.emplace(offspring.transfers, *population_, tree_.get(), transport_);
  attempt([&] { population_->keep_parents(offspring.births); });  // before the arrivals need room
  migration_->trade(options_.migrate, static_cast<std::size_t>(model_.vocabulary().size()));
  if (!failure_) failure_ = migration_->failure();
  Ballot ballot;
  ballot.bytes.assign(static_cast<std::size_t>(transport_->size()), 0.0);
  ballot.bytes[static_cast<std::size_t>(transport_->rank().value())] = static_cast<double>(migration_->bytes());
  settle(&ballot);
  migration_->ship();
  linger();
  return static_cast<std::uint64_t>(std::accumulate(ballot.bytes.begin(), ballot.bytes.end(), 0.0));
}

void Run::linger() {
  if (patience_ == 0.0) return;
  patience_ = migration_->linger(patience_ * step_s_) ? options_.patience : patience_ / 2;
}

/// Writes the state at the start of the current batch, unless that has been done.
void Run::save() {
  if (!checkpointed_ || saved_ == batches_) return;
  saved_ = batches_;
  pass_on();
  const ScopedTimer timer(&times_.checkpoint_s);
  std::string share;
  attempt([&] { share = pack_share(*population_, tokens_at_start_, *decoder_); });
  const std::vector<std::string> shares = transport_->gather(share);
  const bool complete = std::none_of(shares.begin(), shares.end(), [](const std::string& s) { return s.empty(); });
  if (checkpointer_ == nullptr || !complete) return;  // a rank that has failed will say so
  attempt([&] {
    RunState state{.batches = batches_,
                   .steps = steps_,
                   .particle_tokens = tokens_before_,
                   .migration = moved_,
                   .elapsed_s = seconds_before_ + clock_.seconds(),
                   .times = times(),
                   .histories = {},
                   .history_of = {}};
    unpack_shares(shares, static_cast<std::size_t>(options_.particles), &state);
    checkpointer_->write(state);
  });
}

void Run::publish(BatchRecord* record) {
  if (!record->resampled && !in_blocks_) {
    record->ancestor.resize(static_cast<std::size_t>(options_.particles));
    std::iota(record->ancestor.begin(), record->ancestor.end(), 0U);
  }
  record->time_s = seconds_before_ + clock_.seconds();
  const PhaseTimes now = times();
  record->times = now - reported_;
  reported_ = now;
  const ScopedTimer timer(&times_.trace_s);
  observer_->on_batch(*record);
}

RunResult Run::finish(const Ballot& ballot, const Decision& decision) {
  Ballot last;
  agree(&last);  // the observer may have failed
  RunResult result;
  result.reason = *decision.reason;
  if (result.reason == FinishReason::signal) result.signal = static_cast<int>(ballot.signal);
  if (result.reason == FinishReason::extinct) result.extinct_by = name_of(ballot.last_culprit());
  result.log_z = decision.log_z;
  result.ess = decision.ess;
  result.batches = batches_;
  result.token_steps = static_cast<int>(steps_);
  result.particle_tokens = sum_over_ranks(tokens_before_ + decoder_->particle_tokens());
  result.migration = moved_;
  selection_->list(ballot, std::move(*population_), &result);
  result.times = times();
  result.wall_s = seconds_before_ + clock_.seconds();
  return result;
}

std::uint64_t Run::sum_over_ranks(std::uint64_t mine) {
  std::vector<double> by_rank(static_cast<std::size_t>(transport_->size()), 0.0);
  by_rank[static_cast<std::size_t>(transport_->rank().value())] = static_cast<double>(mine);
  transport_->allreduce_max(by_rank);
  return static_cast<std::uint64_t>(std::accumulate(by_rank.begin(), by_rank.end(), 0.0));
}

PhaseTimes Run::times() const {
  PhaseTimes all = times_;
  all.decode_s += decoder_->seconds().forward;
  all.potential_s += decoder_->seconds().potentials;
  return all;
}

std::string Run::name_of(Culprit culprit) const {
  return culprit == model_culprit ? "model" : potentials_[static_cast<std::size_t>(culprit)]->name();
}

}  // namespace

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::completed:
      return "completed";
    case FinishReason::max_tokens:
      return "max_tokens";
    case FinishReason::early_stop:
      return "early_stop";
    case FinishReason::timeout:
      return "timeout";
    case FinishReason::signal:
      return "signal";
    case FinishReason::extinct:
      break;
  }
  return "extinct";
}

RunResult run(const LanguageModel& model, std::span<const TokenId> prompt, std::span<const PotentialPtr> potentials,
              const Options& options, Transport& transport, const Attachments& attachments) {
  return Run(model, potentials, options, &transport, attachments).execute(prompt);
}

RunResult run(const LanguageModel& model, std::span<const TokenId> prompt, std::span<const PotentialPtr> potentials,
              const Options& options, Transport& transport, Observer* observer) {
  return run(model, prompt, potentials, options, transport, Attachments{.observer = observer});
}

}  // namespace shoal::smc
