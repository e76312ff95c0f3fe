// None of several strings may occur: the search automaton of the strings, dead where one of them is found.
#include <algorithm>
#include <utility>

#include "potential/aho_corasick.hpp"
#include "potential/dfa_potential.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

Dfa dfa_without(const AhoCorasick& search) {
  Dfa dfa;
  dfa.start = AhoCorasick::start;
  dfa.classes = search.classes();
  dfa.byte_class = search.byte_class();
  for (std::int32_t state = 0; state < search.size(); ++state) {
    dfa.accepting.push_back(search.found(state).empty() ? 1 : 0);
    for (int c = 0; c < dfa.classes; ++c) {
      const std::int32_t target = search.step_class(state, c);
      const bool ends = !search.found(state).empty() || !search.found(target).empty();
      dfa.next.push_back(ends ? Dfa::dead : target);
    }
  }
  return minimised(dfa);
}

}  // namespace

PotentialPtr forbidden_content_potential(std::vector<std::string> strings, std::string name) {
  if (strings.empty()) throw UsageError("no forbidden strings (the list is empty) give at least one string");
  if (std::any_of(strings.begin(), strings.end(), [](const auto& s) { return s.empty(); }))
    throw UsageError("bad forbidden string '' (it occurs in every text) give at least one character");
  return dfa_potential(dfa_without(AhoCorasick(strings)), std::move(name));
}

}  // namespace shoal
