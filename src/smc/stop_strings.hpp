// StopStrings: finds the first stop string in a growing text, also where it straddles tokens.
// One automaton for all strings (Aho & Corasick 1975), flattened to a table; a text's memory is one state number.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/vocabulary.hpp"

namespace shoal::smc {

class StopStrings {
 public:
  using State = std::uint32_t;

  /// @param strings non-empty ones
  StopStrings(std::span<const std::string> strings, const Vocabulary& vocabulary);

  [[nodiscard]] bool empty() const { return nodes_.size() == 1; }
  [[nodiscard]] static State start() { return 0; }
  /// Feeds @p bytes. If a stop string is complete, the number of bytes to drop from the end of the text, so that it
  /// ends before the first one; @p state is then of no further use.
  std::optional<std::size_t> advance(State* state, std::string_view bytes) const;
  /// Tokens that complete a stop string in a text with this state. Safe to call from several threads.
  [[nodiscard]] const TokenMask& completing_tokens(State state) const;

 private:
  struct Node {
    std::array<State, 256> next{};
    State fallback = 0;
    std::size_t match = 0;  ///< length of the longest stop string that ends here
  };

  void add(const std::string& text);
  void link();
  [[nodiscard]] TokenMask find_completing_tokens(State state) const;

  struct CachedMask {
    std::once_flag once;
    TokenMask mask;
  };

  std::vector<Node> nodes_;
  const Vocabulary* vocabulary_;
  std::unique_ptr<CachedMask[]> completing_;  ///< by state
};

}  // namespace shoal::smc
