// Exact token masks for the states of a byte automaton: which tokens lead to a state from which some sequence of this
// vocabulary's tokens still reaches acceptance.
#pragma once

#include <cstdint>
#include <vector>

#include "potential/dfa.hpp"
#include "potential/mask_cache.hpp"

namespace shoal {

/// [state] 1 if some token sequence, perhaps empty, leads from the state to acceptance. When each byte that the
/// automaton can read (up to its class) is a token this is true everywhere and costs nothing.
std::vector<std::uint8_t> token_live_states(const Dfa& dfa, const Vocabulary& vocabulary);

class DfaMasks {
 public:
  explicit DfaMasks(const Dfa* dfa) : dfa_(dfa) {}

  /// @param state of the automaton, or Dfa::dead
  MaskPtr allowed(std::int32_t state, const Vocabulary& vocabulary);

 private:
  const Dfa* dfa_;
  PerVocabulary<std::vector<std::uint8_t>> live_;
  MaskCache cache_;
};

}  // namespace shoal
