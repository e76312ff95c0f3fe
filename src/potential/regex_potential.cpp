// The text must match a pattern from end to end: one automaton state is all that a particle remembers.
#include <utility>

#include "potential/dfa_potential.hpp"
#include "potential/quote.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {

PotentialPtr regex_potential(std::string_view pattern, std::string name) {
  Dfa dfa = make_dfa(Nfa(parse_regex(pattern)));
  if (dfa.start == Dfa::dead)
    throw UsageError("bad regex " + quote(pattern) + ": matches no text at all (empty language) relax the pattern");
  return dfa_potential(std::move(dfa), std::move(name));
}

}  // namespace shoal
