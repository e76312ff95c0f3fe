// Decoder: advances this rank's particles by one token. One forward pass over their distinct contexts, one
// distribution per context, one draw per particle; then what has drawn the same grows as one history.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "base/rng.hpp"
#include "shoal/language_model.hpp"
#include "smc/growth.hpp"
#include "smc/options.hpp"
#include "smc/part_count.hpp"
#include "smc/population.hpp"
#include "smc/proposal.hpp"

namespace shoal::smc {

/// All arguments of the constructor must outlive it.
class Decoder {
 public:
  struct Seconds {
    double forward = 0.0;
    double potentials = 0.0;  ///< distributions, draws and potentials
  };

  Decoder(const LanguageModel& model, ContextTree* tree, std::span<const PotentialPtr> potentials,
          const Options& options);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Draws the next token for every growing particle that has made @p made tokens of the batch and need not wait, and
  /// adds its increment. @p step counts the run's tokens: it keys the random numbers. Where the processor draws by
  /// itself, it may be at work on some of them until the next call, or until settle().
  void advance(Population* population, std::uint32_t step, std::size_t made);
  /// Ends all that is under way.
  void settle();
  /// Brings the expensive potentials up to the text of every history that grew in this batch. Starts from the
  /// beginning of the batch, so it may be repeated after a cut. @p step is the number of the batch's last token.
  void evaluate_expensive(Population* population, std::uint32_t step);
  /// Takes back all but the first @p tokens of the batch. The run must end after it: contexts are not restored.
  void cut(Population* population, std::size_t tokens) const;

  /// What @p history was at the start of the batch.
  [[nodiscard]] HistoryState at_batch_start(const History& history) const { return growth_.at_batch_start(history); }

  [[nodiscard]] std::uint64_t distinct_contexts() const { return distinct_contexts_; }  ///< of the last token
  [[nodiscard]] std::uint64_t particle_tokens() const { return particle_tokens_; }      ///< drawn so far
  [[nodiscard]] const Seconds& seconds() const { return seconds_; }                     ///< so far

 private:
  /// A distinct context and the histories that end on it.
  struct Row {
    ContextId context;
    std::vector<std::uint32_t> histories;
  };
  /// What holds for all particles of a row.
  struct RowOutcome {
    bool forced = false;    ///< has max_tokens
    double log_mass = 0.0;  ///< ln p/q of each token
    double log_end = 0.0;   ///< ln p(end)
    Culprit culprit = model_culprit;

    [[nodiscard]] bool is_drawn() const;
    [[nodiscard]] bool is_dead_end() const;
  };
  /// Some particles of a row, for one worker.
  struct Piece {
    std::size_t row = 0;
    std::span<const std::uint32_t> places;
  };
  enum class Outcome { token, end, forced_end, nothing };
  /// What a history comes to.
  struct Step {
    std::uint32_t history = 0;
    Outcome outcome = Outcome::nothing;
    TokenId token;
    Increment increment{0.0, model_culprit};  ///< ln p/q
  };

  /// A micro-batch that the processor draws for.
  struct Part {
    Population* population = nullptr;
    std::vector<Row> rows;
    Members members;
    std::vector<ContextDraws> sampled;
    std::uint32_t step = 0;
    std::size_t made = 0;
  };
  struct DrawnPart {
    Part part;
    std::vector<RowOutcome> outcomes;  ///< by row
  };

  [[nodiscard]] static std::vector<Row> distinct_rows(const Population& population, std::size_t made);
  void count_contexts(std::size_t rows, std::uint32_t step);
  [[nodiscard]] Members members_of(const Population& population, std::span<const Row> rows);
  void advance_in_parts(Population* population, std::uint32_t step, std::size_t made);
  void forward(std::span<const Row> rows);
  /// Forward pass and draws; these go to drawn_.
  [[nodiscard]] std::vector<RowOutcome> draw_here(const Population& population, const Members& members,
                                                  std::span<const Row> rows, std::uint32_t step);
  [[nodiscard]] Part prepare(Population* population, std::vector<Row> rows, std::uint32_t step, std::size_t made);
  void start(Part part);
  /// Waits for the part under way.
  [[nodiscard]] std::optional<DrawnPart> finish();
  /// Those of the i-th row, to drawn_.
  [[nodiscard]] RowOutcome take_draws(const Part& part, std::size_t i);
  [[nodiscard]] static std::size_t draws_of(const Row& row, const Members& members);
  [[nodiscard]] static std::vector<Piece> pieces_of(std::span<const Row> rows, std::span<const RowOutcome> outcomes,
                                                    const Members& members);
  [[nodiscard]] static ContextView view_of(const History& history);
  [[nodiscard]] RowOutcome outcome_of(const History& first, double log_mass, double log_end) const;
  [[nodiscard]] Culprit culprit(std::span<const float> logits, const History& first) const;
  [[nodiscard]] Culprit culprit(const Row& row, const History& first);
  [[nodiscard]] double uniform(const Population& population, std::uint32_t place, std::uint32_t step) const;
  void add_steps(Population* population, const Members& members, std::uint32_t history, const RowOutcome& outcome,
                 std::vector<Step>* steps);
  void apply(const std::optional<DrawnPart>& drawn);
  void apply(Population* population, const Members& members, std::span<const Row> rows,
             std::span<const RowOutcome> outcomes, std::uint32_t step);
  void apply(const Step& one, History* history, std::uint32_t step) const;
  void move_context(const Step& one, History* history) const;

  const Vocabulary& vocabulary_;
  ContextTree* tree_;
  std::span<const PotentialPtr> potentials_;
  std::size_t max_tokens_;
  RandomKey key_;
  StopStrings stops_;
  Growth growth_;
  Sampling sampling_;
  std::unique_ptr<const Proposal> proposal_;
  AlignedVector<float> logits_;
  PartCount part_count_;
  std::optional<Part> under_way_;
  std::vector<std::int32_t> drawn_;             ///< by place: a token, or the end
  std::vector<std::uint32_t> history_of_draw_;  ///< scratch of add_steps: by token, and the end
  std::uint64_t distinct_contexts_ = 0;
  std::uint32_t last_step_ = 0;
  std::uint64_t particle_tokens_ = 0;
  Seconds seconds_;
};

}  // namespace shoal::smc
