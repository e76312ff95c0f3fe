// What one step does to a history: text, potential states and increment. Pure in the history and the potentials,
// so that histories advance in parallel.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "smc/population.hpp"
#include "smc/stop_strings.hpp"

namespace shoal::smc {

/// A log-weight increment as a sum of terms that remembers which one was -inf first.
class Increment {
 public:
  Increment(double value, Culprit culprit) : value_(value), culprit_(culprit) {}
  void add(double term, Culprit culprit) {
    if (value_ > -infinity_ && term == -infinity_) culprit_ = culprit;
    value_ += term;
  }
  [[nodiscard]] double value() const { return value_; }
  [[nodiscard]] Culprit culprit() const { return culprit_; }

 private:
  static constexpr double infinity_ = std::numeric_limits<double>::infinity();
  double value_;
  Culprit culprit_;
};

/// The rules by which a history grows. Arguments must outlive it.
class Growth {
 public:
  Growth(std::span<const PotentialPtr> potentials, const StopStrings& stops, const Vocabulary& vocabulary)
      : potentials_(potentials), stops_(stops), vocabulary_(vocabulary) {}

  /// Appends a token; cheap potentials go from one prefix value to the next. If that completes a stop string, the text
  /// is cut before it and the history is finished: potentials go to the complete value of the text that is left.
  void append(History* history, TokenId token, Increment increment, std::uint32_t step) const;
  /// Finishes the text as it is: cheap potentials go from prefix to complete.
  void complete(History* history, Status status, Increment increment, std::uint32_t step) const;
  /// Records the increment; one of -inf makes the history dead.
  static void finish_step(History* history, Increment increment, std::uint32_t step);

  /// Takes an expensive potential from its value at the start of the batch to the one of the history's text.
  void evaluate_expensive(std::size_t k, History* history, std::uint32_t step) const;
  /// Adds the change that an evaluation made.
  static void add_expensive(std::size_t k, History* history, std::uint32_t step);
  /// Takes back all but the first @p tokens of the batch; a no-op if there were no more.
  void restore(History* history, std::size_t tokens) const;
  /// What @p history was at the start of the batch.
  [[nodiscard]] HistoryState at_batch_start(const History& history) const;

 private:
  [[nodiscard]] bool is_cheap(std::size_t k) const { return potentials_[k]->cost() == Cost::cheap; }
  /// Sets text and stop state to those of the tokens, none of which completes a stop string.
  void respell(HistoryState* state) const;
  [[nodiscard]] double log_complete_of(std::size_t k, std::string_view text) const;

  std::span<const PotentialPtr> potentials_;
  const StopStrings& stops_;
  const Vocabulary& vocabulary_;
};

}  // namespace shoal::smc
