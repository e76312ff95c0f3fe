// Decoder: advances this rank's particles by one token. One forward pass over their distinct contexts, one
// distribution per context, one draw per particle, then the potentials.
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
  /// Brings the expensive potentials up to the text of every particle that grew in this batch. Starts from the
  /// beginning of the batch, so it may be repeated after a cut. @p step is the number of the batch's last token.
  void evaluate_expensive(Population* population, std::uint32_t step);
  /// Takes back all but the first @p tokens of the batch. The run must end after it: contexts are not restored.
  void cut(Population* population, std::size_t tokens) const;

  /// What @p particle was at the start of the batch.
  [[nodiscard]] ParticleState at_batch_start(const Particle& particle) const {
    return growth_.at_batch_start(particle);
  }

  [[nodiscard]] std::uint64_t distinct_contexts() const { return distinct_contexts_; }  ///< of the last token
  [[nodiscard]] std::uint64_t particle_tokens() const { return particle_tokens_; }      ///< drawn so far
  [[nodiscard]] const Seconds& seconds() const { return seconds_; }                     ///< so far

 private:
  /// A distinct context and the particles that stand on it.
  struct Row {
    ContextId context;
    std::vector<Particle*> particles;
  };
  enum class Outcome { token, end, forced_end, nothing };
  struct Draw {
    Particle* particle = nullptr;
    Outcome outcome = Outcome::nothing;
    TokenId token;
    Increment increment{0.0, model_culprit};  ///< ln p/q
  };

  struct Draws {
    std::vector<Draw> draws;
    std::uint32_t step = 0;
  };
  /// A micro-batch that the processor draws for.
  struct Part {
    std::vector<Row> rows;
    std::vector<ContextDraws> sampled;
    std::uint32_t step = 0;
    std::size_t made = 0;
  };

  [[nodiscard]] static std::vector<Row> distinct_rows(Population* population, std::size_t made);
  void count_contexts(std::size_t rows, std::uint32_t step);
  void advance_in_parts(Population* population, std::uint32_t step, std::size_t made);
  void forward(std::span<const Row> rows);
  [[nodiscard]] std::vector<Draw> draw_here(std::span<const Row> rows, std::uint32_t step);
  [[nodiscard]] Part prepare(std::vector<Row> rows, std::uint32_t step, std::size_t made);
  void start(Part part);
  /// Waits for the part under way.
  [[nodiscard]] Draws finish();
  [[nodiscard]] std::vector<Draw> draws_of(const Row& row, const ContextDraws& sampled);
  [[nodiscard]] std::vector<Draw> draw(const Row& row, std::span<float> logits, std::uint32_t step) const;
  [[nodiscard]] Culprit culprit(std::span<const float> logits, const ContextView& context) const;
  [[nodiscard]] Culprit culprit(const Row& row);
  void apply(const Draws& made);
  void apply(const Draw& draw, std::uint32_t step) const;
  void move_context(const Draw& draw) const;

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
  std::uint64_t distinct_contexts_ = 0;
  std::uint32_t last_step_ = 0;
  std::uint64_t particle_tokens_ = 0;
  Seconds seconds_;
};

}  // namespace shoal::smc
