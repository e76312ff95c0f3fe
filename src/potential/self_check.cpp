// Property test that any potential must pass: no NaN, and a text once impossible stays impossible.
#include <algorithm>
#include <cmath>
#include <limits>

#include "potential/quote.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

struct Scores {
  double prefix;
  double complete;
};

Scores scores_of(const Potential& potential, const PotentialState& state) {
  return {potential.log_prefix(state), potential.log_complete(state)};
}

bool is_log_score(double x) { return !std::isnan(x) && x < std::numeric_limits<double>::infinity(); }
bool is_zero(double log_score) { return log_score == -std::numeric_limits<double>::infinity(); }
/// Equal but for rounding: a potential may add up its score in pieces.
bool same(double a, double b) { return a == b || std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(a)); }
bool same(Scores a, Scores b) { return same(a.prefix, b.prefix) && same(a.complete, b.complete); }

/// What is wrong with the scores at one position; empty when nothing is.
std::string breach(Scores now, bool was_dead) {
  if (!is_log_score(now.prefix)) return "log_prefix is NaN or +inf";
  if (!is_log_score(now.complete)) return "log_complete is NaN or +inf";
  if (is_zero(now.prefix) && !is_zero(now.complete)) return "log_prefix is -inf but log_complete is finite";
  if (was_dead && !is_zero(now.prefix)) return "log_prefix was -inf and is finite again";
  return "";
}

/// Byte by byte, so that every prefix is seen; @p end is where the text ends.
std::string check_prefixes(const Potential& potential, std::string_view sample, PotentialState* end) {
  *end = potential.start();
  if (is_zero(potential.log_prefix(*end))) return "log_prefix of the empty text is -inf";
  bool dead = false;
  for (std::size_t length = 0;; ++length) {
    const Scores now = scores_of(potential, *end);
    const std::string problem = breach(now, dead);
    if (!problem.empty()) return problem + " after " + std::to_string(length) + " bytes of " + quote(sample);
    if (length == sample.size()) return "";
    dead = is_zero(now.prefix);
    potential.advance(*end, sample.substr(length, 1));
  }
}

std::string check_sample(const Potential& potential, std::string_view sample) {
  PotentialState state;
  if (std::string problem = check_prefixes(potential, sample, &state); !problem.empty()) return problem;
  for (std::size_t split = 0; split <= sample.size(); split += std::max<std::size_t>(1, sample.size() / 4)) {
    PotentialState in_two = potential.start();
    potential.advance(in_two, sample.substr(0, split));
    potential.advance(in_two, sample.substr(split));
    if (!same(scores_of(potential, in_two), scores_of(potential, state)))
      return "scores depend on how the text is cut into tokens (byte by byte, or after " + std::to_string(split) +
             " bytes of " + quote(sample) + ")";
  }
  return "";
}

}  // namespace

std::string self_check(const Potential& potential, std::span<const std::string> samples) {
  for (const std::string& sample : samples) {
    const std::string problem = check_sample(potential, sample);
    if (!problem.empty()) return "potential " + quote(potential.name()) + ": " + problem;
  }
  return "";
}

}  // namespace shoal
