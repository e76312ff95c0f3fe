// Counts the matches of a pattern in a text that grows byte by byte: one automaton state per particle.
// A match ends where one can first end, the next may begin there (no overlap); empty matches do not count. What depends
// on the next byte (\b, $) is settled when that byte comes, or at the end of the text.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "potential/regex_nfa.hpp"

namespace shoal {

/// Automaton over all texts; each move also tells how many matches it settles (0, 1 or 2).
struct MatchCounter {
  std::uint16_t start = 0;
  int classes = 1;
  std::array<std::uint8_t, 256> byte_class{};
  std::vector<std::uint16_t> next;        ///< [state * classes + byte class]
  std::vector<std::uint8_t> settled;      ///< [state * classes + byte class]
  std::vector<std::uint8_t> ends_at_end;  ///< [state] 1 if the text's end completes one more match

  [[nodiscard]] std::size_t move(std::uint16_t state, std::uint8_t byte) const {
    return std::size_t{state} * static_cast<std::size_t>(classes) + byte_class[byte];
  }
  /// Whether any text has a match.
  [[nodiscard]] bool can_match() const;
};

/// @throws UsageError nfa.size_error() beyond 65,536 states or about a second of work
MatchCounter make_match_counter(const Nfa& nfa);

}  // namespace shoal
