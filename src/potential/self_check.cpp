// Property test that any potential must pass: no NaN, and a text once impossible stays impossible.
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
bool same(Scores a, Scores b) { return a.prefix == b.prefix && a.complete == b.complete; }

/// The first breach at this position; empty when there is none.
std::string breach(Scores now, bool was_dead) {
  if (!is_log_score(now.prefix)) return "log_prefix is NaN or +inf";
  if (!is_log_score(now.complete)) return "log_complete is NaN or +inf";
  if (is_zero(now.prefix) && !is_zero(now.complete)) return "log_prefix is -inf but log_complete is finite";
  if (was_dead && !is_zero(now.prefix)) return "log_prefix was -inf and is finite again";
  return "";
}

std::string check_sample(const Potential& potential, std::string_view sample) {
  PotentialState state = potential.start();
  bool dead = false;
  for (std::size_t length = 0;; ++length) {
    const Scores now = scores_of(potential, state);
    std::string problem = breach(now, dead);
    if (length == 0 && is_zero(now.prefix)) problem = "log_prefix of the empty text is -inf";
    if (!problem.empty()) return problem + " after " + std::to_string(length) + " bytes of " + quote(sample);
    dead = is_zero(now.prefix);
    if (length == sample.size()) break;
    potential.advance(state, sample.substr(length, 1));
  }
  PotentialState at_once = potential.start();
  potential.advance(at_once, sample);
  if (!same(scores_of(potential, at_once), scores_of(potential, state)))
    return "scores differ between byte-wise and whole advance over " + quote(sample);
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
