// A style as weighted patterns: each match adds its weight to the log score, up to a number of matches per pattern.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "potential/match_counter.hpp"
#include "potential/quote.hpp"
#include "potential/state_bytes.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

constexpr int largest_max_count = 65'535;
constexpr double largest_log_weight = 1e6;

/// What a particle remembers of one pattern. Once the count is full the automaton stands still.
struct Tally {
  std::uint16_t state;
  std::uint16_t count;
};

class WeightedPattern {
 public:
  explicit WeightedPattern(const StylePattern& pattern)
      : counter_(make_match_counter(Nfa(parse_regex(pattern.pattern, CaseRule::insensitive)))),
        log_weight_(pattern.log_weight),
        max_count_(static_cast<std::uint16_t>(pattern.max_count)) {
    if (!counter_.can_match())
      throw UsageError("bad regex " + quote(pattern.pattern) +
                       ": matches no text of one or more bytes (nothing to count) relax the pattern");
  }

  [[nodiscard]] bool is_own(Tally tally) const {
    return tally.state < counter_.ends_at_end.size() && tally.count <= max_count_;
  }
  [[nodiscard]] Tally start() const { return {counter_.start, 0}; }

  void advance(Tally* tally, std::string_view bytes) const {
    for (std::size_t i = 0; i < bytes.size() && tally->count < max_count_; ++i) {
      const std::size_t move = counter_.move(tally->state, static_cast<std::uint8_t>(bytes[i]));
      tally->state = counter_.next[move];
      tally->count = static_cast<std::uint16_t>(std::min<int>(max_count_, tally->count + counter_.settled[move]));
    }
  }

  [[nodiscard]] double log_prefix(Tally tally) const { return log_weight_ * tally.count; }
  [[nodiscard]] double log_complete(Tally tally) const {
    return log_weight_ * std::min<int>(max_count_, tally.count + counter_.ends_at_end[tally.state]);
  }

 private:
  MatchCounter counter_;
  double log_weight_;
  std::uint16_t max_count_;
};

class StylePotential final : public Potential {
 public:
  StylePotential(const Style& style, std::string name) : name_(std::move(name)) {
    for (const auto& pattern : style.patterns) patterns_.push_back(weighted(pattern, style.name));
  }

  const std::string& name() const override { return name_; }

  PotentialState start() const override {
    PotentialState state;
    for (const auto& pattern : patterns_) state += to_state(pattern.start());
    return state;
  }

  void advance(PotentialState& state, std::string_view bytes) const override {
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      Tally tally = tally_of(state, i);
      patterns_[i].advance(&tally, bytes);
      store(tally, &state, i * sizeof tally);
    }
  }

  double log_prefix(const PotentialState& state) const override {
    double sum = 0.0;
    for (std::size_t i = 0; i < patterns_.size(); ++i) sum += patterns_[i].log_prefix(tally_of(state, i));
    return sum;
  }

  double log_complete(const PotentialState& state) const override {
    double sum = 0.0;
    for (std::size_t i = 0; i < patterns_.size(); ++i) sum += patterns_[i].log_complete(tally_of(state, i));
    return sum;
  }

 private:
  /// Errors of a regex say which style it belongs to.
  static WeightedPattern weighted(const StylePattern& pattern, const std::string& style) {
    try {
      return WeightedPattern(pattern);
    } catch (const UsageError& error) {
      throw UsageError("style " + quote_path(style) + ": " + error.what());
    }
  }

  [[nodiscard]] Tally tally_of(const PotentialState& state, std::size_t i) const {
    expect_state(state.size() == patterns_.size() * sizeof(Tally), name_);
    const auto tally = from_state<Tally>(state, i * sizeof(Tally));
    expect_state(patterns_[i].is_own(tally), name_);
    return tally;
  }

  std::vector<WeightedPattern> patterns_;
  std::string name_;
};

void check(const Style& style) {
  const std::string where = "style " + quote_path(style.name);
  if (style.patterns.empty()) throw UsageError("bad " + where + " (it has no patterns) give at least one pattern");
  for (const auto& [pattern, log_weight, max_count] : style.patterns) {
    const std::string which = "bad pattern " + quote(pattern) + " of " + where;
    if (!(std::abs(log_weight) <= largest_log_weight))
      throw UsageError(which +
                       " (log_weight is not a number from -1e6 to 1e6) give a smaller one; for a hard rule use a " +
                       "regex, required or forbidden potential");
    if (max_count < 1 || max_count > largest_max_count)
      throw UsageError(which + " (max_count " + std::to_string(max_count) + " is out of range) give 1 to " +
                       std::to_string(largest_max_count));
  }
}

}  // namespace

PotentialPtr style_potential(Style style, std::string name) {
  check(style);
  return std::make_shared<StylePotential>(style, std::move(name));
}

}  // namespace shoal
