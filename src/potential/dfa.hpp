// Deterministic automaton over bytes in which every state can still reach acceptance: alive = some completion exists.
// Subset construction over byte classes, trimming, Valmari & Lehtinen's minimisation of partial automata
// (O(m log n), 2012).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "potential/regex_nfa.hpp"

namespace shoal {

/// Moves that exist, by state and byte class. No state is unable to reach an accepting one.
struct Dfa {
  static constexpr std::int32_t dead = -1;

  std::int32_t start = dead;  ///< dead when the language is empty
  int classes = 1;
  std::array<std::uint8_t, 256> byte_class{};
  std::vector<std::int32_t> next;       ///< [state * classes + byte class]
  std::vector<std::uint8_t> accepting;  ///< [state], 0 or 1

  [[nodiscard]] int size() const { return static_cast<int>(accepting.size()); }
  [[nodiscard]] std::int32_t step(std::int32_t state, std::uint8_t byte) const {
    return next[static_cast<std::size_t>(state) * static_cast<std::size_t>(classes) + byte_class[byte]];
  }
};

/// Minimal automaton of the texts that @p nfa matches from their first byte to their last; states in breadth-first
/// order.
/// @throws UsageError nfa.size_error() beyond 100,000 states, 4 million moves or a few seconds of work
Dfa make_dfa(const Nfa& nfa);

/// Drops states that are unreachable or cannot reach acceptance, merges equivalent ones, and renumbers breadth-first.
Dfa minimised(const Dfa& dfa);

}  // namespace shoal
