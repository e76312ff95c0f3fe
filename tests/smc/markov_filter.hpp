// A particle filter for a small hidden Markov model, written out in one function on top of the weights and the
// resampling under test, with deliberate mistakes to choose from: a test that passes on all of them tests nothing.
#pragma once

#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "base/rng.hpp"
#include "smc/resampling.hpp"
#include "smc/toy_model.hpp"
#include "smc/toy_potentials.hpp"
#include "smc/weights.hpp"

namespace shoal::test {

/// Three states, twelve steps, weight g(t, state) at each step.
struct Markov {
  static constexpr std::size_t states = 3;
  static constexpr std::size_t steps = 12;
  using Row = std::array<double, states>;

  static constexpr Row initial = {0.5, 0.3, 0.2};
  static constexpr std::array<Row, states> transition = {{{0.6, 0.3, 0.1}, {0.2, 0.5, 0.3}, {0.3, 0.1, 0.6}}};

  static double log_g(std::size_t t, std::size_t state) {
    return 0.8 * std::sin(1.7 * static_cast<double>(t) + 2.3 * static_cast<double>(state));
  }
  static const Row& row(std::size_t t, std::size_t previous) { return t == 0 ? initial : transition[previous]; }

  /// alpha[t][s]: total weight of the paths that are in s at t, by the forward algorithm.
  static std::vector<std::array<long double, states>> forward() {
    std::vector<std::array<long double, states>> alpha(steps);
    for (std::size_t t = 0; t < steps; ++t) {
      for (std::size_t s = 0; s < states; ++s) {
        long double sum = t == 0 ? static_cast<long double>(initial[s]) : 0.0L;
        for (std::size_t from = 0; from < states && t > 0; ++from) sum += alpha[t - 1][from] * transition[from][s];
        alpha[t][s] = sum * std::exp(static_cast<long double>(log_g(t, s)));
      }
    }
    return alpha;
  }
  static double z() {
    const auto last = forward().back();
    return static_cast<double>(last[0] + last[1] + last[2]);
  }
  /// Total weight of the paths that end in state 0.
  static double z_of_last_in_0() { return static_cast<double>(forward().back()[0]); }

  static std::size_t invert(const Row& p, double u) {
    std::size_t s = 0;
    while (s + 1 < states && u >= p[s]) u -= p[s++];
    return s;
  }

  /// The same as a language model: token = state, one end of sequence after the last step.
  static ToyModel model() {
    return ToyModel({"0", "1", "2", ""}, {token(3)}, [](std::span<const TokenId> tokens) -> std::vector<double> {
      if (tokens.size() == steps) return {0.0, 0.0, 0.0, 1.0};
      const Row& p = row(tokens.size(), tokens.empty() ? 0 : static_cast<std::size_t>(tokens.back().value()));
      return {p[0], p[1], p[2], 0.0};
    });
  }
  static PotentialPtr potential() {
    const auto score = [](const std::string& text) {
      double sum = 0.0;
      for (std::size_t t = 0; t < text.size(); ++t) sum += log_g(t, static_cast<std::size_t>(text[t] - '0'));
      return std::exp(sum);
    };
    return std::make_shared<TextPotential>("g", score, score);
  }
};

enum class Mutant {
  none,
  same_numbers_each_step,     ///< random numbers not keyed by the step
  same_numbers_as_siblings,   ///< keyed by the ancestor, so that siblings stay equal: unbiased, but of more variance
  carry_weights,              ///< children keep their ancestor's weight
  no_reset,                   ///< slots keep the weight they had before resampling
  constant_offset,            ///< the comb always starts at the same place: shows in the mean counts
  floor_counts,               ///< floor(N w) children, the rest to the first particle with any: likewise
  whole_potential_each_step,  ///< the product so far enters again at each step
  forgotten_mean,             ///< weights of 1 after resampling: the evidence so far is lost
};

struct FilterResult {
  double z = 0.0;          ///< Z-hat
  double z_times_f = 0.0;  ///< Z-hat * share of the weight on paths that end in state 0
};

struct FilterOptions {
  smc::Resampling scheme = smc::Resampling::systematic;
  double threshold = 0.5;
  std::uint64_t seed = 0;
  Mutant mutant = Mutant::none;
};

inline std::vector<std::uint32_t> floor_counts(std::span<const std::uint64_t> q, smc::Uint128 total) {
  std::vector<std::uint32_t> counts(q.size());
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < q.size(); ++i) sum += counts[i] = static_cast<std::uint32_t>(q[i] * q.size() / total);
  std::size_t first = 0;
  while (q[first] == 0) ++first;
  counts[first] += static_cast<std::uint32_t>(q.size()) - sum;
  return counts;
}

/// Offspring counts, or a mutant's.
inline std::vector<std::uint32_t> counts_of(Mutant mutant, smc::Resampling scheme, const smc::IntegerWeights& weights,
                                            std::vector<std::uint64_t> words) {
  if (mutant == Mutant::floor_counts) return floor_counts(weights.q, weights.total);
  if (mutant == Mutant::constant_offset) words.assign(words.size(), std::uint64_t{1} << 63U);
  return smc::offspring_counts(scheme, weights.q, words);
}

class MarkovFilter {
 public:
  MarkovFilter(std::size_t particles, const FilterOptions& options)
      : options_(options), state_(particles), log_weight_(particles), product_(particles), key_id_(particles) {
    for (std::uint32_t i = 0; i < particles; ++i) key_id_[i] = i;
  }

  FilterResult run() {
    for (std::size_t t = 0; t < Markov::steps; ++t) {
      extend(t);
      const auto weights = smc::integer_weights(log_weight_);
      const auto n = static_cast<double>(state_.size());
      if (smc::effective_sample_size(weights) < options_.threshold * n) resample(t, weights);
    }
    const auto weights = smc::integer_weights(log_weight_);
    const double z = std::exp(smc::log_mean_weight(weights));
    double in_0 = 0.0;
    for (std::size_t i = 0; i < state_.size(); ++i)
      if (state_[i] == 0) in_0 += static_cast<double>(weights.q[i]);
    return {z, z * in_0 / static_cast<double>(weights.total)};
  }
  [[nodiscard]] const std::vector<std::size_t>& last_states() const { return state_; }

 private:
  void extend(std::size_t t) {
    const auto step = static_cast<std::uint32_t>(is(Mutant::same_numbers_each_step) ? 0 : t);
    for (std::uint32_t i = 0; i < state_.size(); ++i) {
      const LogicalId id{is(Mutant::same_numbers_as_siblings) ? key_id_[i] : i};
      const double u = random_uniform({options_.seed}, step, id, Purpose::token);
      state_[i] = Markov::invert(Markov::row(t, state_[i]), u);
      product_[i] += Markov::log_g(t, state_[i]);
      log_weight_[i] += is(Mutant::whole_potential_each_step) ? product_[i] : Markov::log_g(t, state_[i]);
    }
  }
  void resample(std::size_t t, const smc::IntegerWeights& weights) {
    const auto words =
        smc::resampling_words(options_.scheme, state_.size(), {options_.seed}, static_cast<std::uint32_t>(t));
    const auto ancestors = smc::ancestors_of(counts_of(options_.mutant, options_.scheme, weights, words));
    const double mean = is(Mutant::forgotten_mean) ? 0.0 : smc::log_mean_weight(weights);
    const auto states = state_;
    const auto log_weights = log_weight_;
    const auto products = product_;
    const auto key_ids = key_id_;
    for (std::size_t i = 0; i < states.size(); ++i) {
      const std::size_t parent = ancestors[i].value();
      state_[i] = states[parent];
      product_[i] = products[parent];
      key_id_[i] = key_ids[parent];
      if (is(Mutant::no_reset)) continue;
      log_weight_[i] = is(Mutant::carry_weights) ? log_weights[parent] : mean;
    }
  }
  [[nodiscard]] bool is(Mutant mutant) const { return options_.mutant == mutant; }

  FilterOptions options_;
  std::vector<std::size_t> state_;
  std::vector<double> log_weight_;
  std::vector<double> product_;
  std::vector<std::uint32_t> key_id_;
};

}  // namespace shoal::test
