// TokenDistribution: what the next token of one context is drawn from, and how much of the model's probability that
// covers. Computed once per distinct context; every particle on it draws by inverting the cumulative distribution.
//
// p is the model at the given temperature, restricted to its real tokens (those with text) and the end of sequence
// (the sum over all end tokens), renormalised. q is p restricted to the allowed tokens, then truncated to the top k,
// to the smallest set of mass top_p among those left, and to those at least min_p times as probable as the best one
// (in the order of the `transformers` library), renormalised. p/q of every outcome is therefore the mass kept, so
// with truncation the run targets p restricted to the kept tokens.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shoal/vocabulary.hpp"
#include "smc/row_kernels.hpp"

namespace shoal::smc {

/// Part of a run's Sampling.
struct Truncation {
  int top_k = 0;       ///< 0 = off; the end of sequence counts as one token
  double top_p = 1.0;  ///< 1 = off
  double min_p = 0.0;  ///< of the most probable outcome; 0 = off

  [[nodiscard]] bool off() const { return top_k == 0 && top_p >= 1.0 && min_p <= 0.0; }
};

class TokenDistribution {
 public:
  /// @param logits one row of the model; becomes the storage of the distribution and must outlive it. Left as it is
  ///               unless there is a truncation, or many draws are expected
  TokenDistribution(std::span<float> logits, const Vocabulary& vocabulary, const TokenMask& allowed, double temperature,
                    Truncation truncation);

  /// ln of the mass of p that q covers = ln p/q of each outcome. -inf if no outcome is left, NaN if a logit is NaN
  /// or +inf.
  [[nodiscard]] double log_mass() const { return log_mass_; }
  /// ln p(end of sequence), whether it is allowed or not.
  [[nodiscard]] double log_end() const { return log_end_; }
  /// Computes all weights once, where @p draws that each compute those of a chunk would take longer. Draws stay the
  /// same.
  void expect_draws(std::size_t draws);
  /// The outcome at @p uniform in (0, 1); outcomes are in the order of their ids, the end of sequence (nothing) last.
  /// Only if log_mass() is finite.
  [[nodiscard]] std::optional<TokenId> draw(double uniform) const;
  /// q of a token, or of the end of sequence.
  [[nodiscard]] double probability(std::optional<TokenId> outcome) const;

 private:
  using Chunk = std::array<float, chunk_tokens>;
  void take_sums(std::span<const ScaledSum> sums, float reference);
  void compute_weights();
  void truncate(Truncation truncation);
  [[nodiscard]] std::span<float> chunk(std::size_t c) const;
  [[nodiscard]] TokenBits allowed_in(std::size_t c) const;
  [[nodiscard]] double scale_of(std::size_t chunk) const;
  [[nodiscard]] std::span<const float> weights_of(std::size_t c, Chunk* room) const;
  [[nodiscard]] double sum_of_weights() const;

  std::span<float> weights_;  ///< exp((logit - its chunk's reference) / T), by token; logits if not yet computed
  bool are_logits_ = true;    ///< then the weights of a few are computed when they are asked for
  std::vector<std::uint64_t> allowed_;  ///< tokens
  double inverse_temperature_;
  float reference_ = 0.0F;
  std::vector<float> chunk_references_;  ///< the largest allowed logit, unless one for all was needed
  std::vector<double> chunk_sums_;       ///< of exp((logit - reference_) / T)
  double end_weight_ = 0.0;              ///< as one of chunk_sums_
  double kept_ = 0.0;                    ///< sum of all these
  double log_mass_ = 0.0;
  double log_end_ = 0.0;
};

}  // namespace shoal::smc
