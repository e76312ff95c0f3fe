// The text must match a pattern from end to end: one automaton state is all that a particle remembers.
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/assert.hpp"
#include "potential/dfa_masks.hpp"
#include "potential/quote.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

class RegexPotential final : public Potential {
 public:
  RegexPotential(Dfa dfa, std::string name) : dfa_(std::move(dfa)), name_(std::move(name)), masks_(&dfa_) {}

  const std::string& name() const override { return name_; }
  PotentialState start() const override { return encoded(dfa_.start); }

  void advance(PotentialState& state, std::string_view bytes) const override {
    std::int32_t at = decoded(state);
    for (std::size_t i = 0; i < bytes.size() && at != Dfa::dead; ++i)
      at = dfa_.step(at, static_cast<std::uint8_t>(bytes[i]));
    std::memcpy(state.data(), &at, sizeof at);
  }

  double log_prefix(const PotentialState& state) const override {
    return decoded(state) == Dfa::dead ? minus_infinity : 0.0;
  }

  double log_complete(const PotentialState& state) const override {
    const std::int32_t at = decoded(state);
    return at != Dfa::dead && dfa_.accepting[static_cast<std::size_t>(at)] != 0 ? 0.0 : minus_infinity;
  }

  std::shared_ptr<const TokenMask> allowed(const PotentialState& state, const Vocabulary& vocabulary) const override {
    return masks_.allowed(decoded(state), vocabulary);
  }

 private:
  static PotentialState encoded(std::int32_t at) {
    PotentialState state(sizeof at, '\0');
    std::memcpy(state.data(), &at, sizeof at);
    return state;
  }
  static std::int32_t decoded(const PotentialState& state) {
    SHOAL_EXPECT(state.size() == sizeof(std::int32_t));
    std::int32_t at = Dfa::dead;
    std::memcpy(&at, state.data(), sizeof at);
    return at;
  }

  Dfa dfa_;
  std::string name_;
  mutable DfaMasks masks_;  ///< a cache: synchronised inside
};

}  // namespace

PotentialPtr regex_potential(std::string_view pattern, std::string name) {
  Dfa dfa = make_dfa(Nfa(parse_regex(pattern)));
  if (dfa.start == Dfa::dead)
    throw UsageError("bad regex " + quote(pattern) + ": matches no text at all (empty language) relax the pattern");
  return std::make_shared<RegexPotential>(std::move(dfa), std::move(name));
}

}  // namespace shoal
