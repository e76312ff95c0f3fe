// Thompson automaton of a regex over the bytes of UTF-8 text, and sets of its states.
// Zero-width assertions stay in the automaton and are resolved when the next byte is known (as in RE2).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "potential/regex_parser.hpp"

namespace shoal {

using NfaState = std::uint32_t;

/// What lies beside a position, as far as assertions care.
enum class Neighbour : std::uint8_t { text_edge, newline, word, other };

Neighbour neighbour_of(std::uint8_t byte);
bool holds(Assertion assertion, Neighbour before, Neighbour after);

class Nfa {
 public:
  struct Transition {
    std::uint8_t first;
    std::uint8_t last;
    NfaState target;
    auto operator<=>(const Transition&) const = default;
  };
  enum class Kind : std::uint8_t { bytes, split, assertion, accept };

  /// @throws UsageError regex.size_error beyond 100,000 states
  explicit Nfa(const ParsedRegex& regex);

  [[nodiscard]] NfaState start() const { return start_; }
  [[nodiscard]] std::size_t size() const { return states_.size(); }
  [[nodiscard]] Kind kind(NfaState state) const { return states_[state].kind; }
  /// Of a bytes state: disjoint and ascending.
  [[nodiscard]] std::span<const Transition> transitions(NfaState state) const { return states_[state].transitions; }
  /// Of a split or an assertion.
  [[nodiscard]] std::span<const NfaState> successors(NfaState state) const { return states_[state].successors; }
  [[nodiscard]] Assertion assertion(NfaState state) const { return states_[state].assertion; }
  [[nodiscard]] bool has_assertions() const { return has_assertions_; }
  [[nodiscard]] const std::string& size_error() const { return size_error_; }

 private:
  friend class NfaBuilder;
  struct State {
    Kind kind;
    Assertion assertion;
    std::vector<Transition> transitions;
    std::vector<NfaState> successors;
  };

  std::vector<State> states_;
  NfaState start_ = 0;
  bool has_assertions_ = false;
  std::string size_error_;
};

/// Partition of the 256 byte values: bytes of one class are alike to the automaton.
struct ByteClasses {
  std::array<std::uint8_t, 256> of{};
  std::vector<std::uint8_t> representative;

  [[nodiscard]] int count() const { return static_cast<int>(representative.size()); }
};

/// @param extra_boundaries byte values at which a class must begin besides those the automaton asks for
ByteClasses byte_classes(const Nfa& nfa, std::span<const std::uint8_t> extra_boundaries = {});

/// Sorted states. A kernel holds bytes, accept and assertion states, closed over splits but not through assertions.
using StateSet = std::vector<NfaState>;

/// Set operations on one automaton's states; holds the scratch space.
class NfaSets {
 public:
  explicit NfaSets(const Nfa& nfa) : nfa_(&nfa), seen_(nfa.size(), 0) {}

  StateSet kernel(std::span<const NfaState> states);
  /// @p kernel with the assertions that hold between the two neighbours crossed, and no assertions left in it.
  StateSet resolve(const StateSet& kernel, Neighbour before, Neighbour after);
  [[nodiscard]] bool accepts(const StateSet& resolved) const;
  [[nodiscard]] bool has_assertion(const StateSet& kernel) const;
  /// Automaton states visited so far: a measure of the work done.
  [[nodiscard]] std::size_t visits() const { return visits_; }

 private:
  template <class Cross>
  StateSet close(std::span<const NfaState> states, const Cross& cross);

  const Nfa* nfa_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t generation_ = 0;
  std::size_t visits_ = 0;
};

}  // namespace shoal
