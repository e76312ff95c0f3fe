// Pre-tokenization: cuts text into the pieces that BPE never merges across.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::text {

/// What becomes of a match of the pattern: a piece of its own, or nothing.
enum class MatchRule { isolated, removed };

class PatternSplitter {
 public:
  /// @param pattern PCRE2 syntax with Unicode properties, as Hugging Face's files have it
  /// @throws ModelError if the pattern does not compile
  PatternSplitter(const std::string& pattern, MatchRule rule);

  /// The matches (unless removed) and what lies between them, in order; no piece is empty.
  /// @throws UsageError if matching exceeds PCRE2's limits
  [[nodiscard]] std::vector<std::string> split(std::string_view text) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
  MatchRule rule_;
};

/// Escapes a literal string for PatternSplitter.
std::string quoted_pattern(std::string_view literal);

}  // namespace shoal::text
