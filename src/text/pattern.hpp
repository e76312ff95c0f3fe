// Pattern: what tokenizer files search text for: a regular expression or a literal string.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::text {

/// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin;
  std::size_t end;
  [[nodiscard]] bool empty() const { return begin == end; }
  [[nodiscard]] std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
};

class Pattern {
 public:
  /// @param source Oniguruma (Ruby) syntax, as Hugging Face's files have it; run by PCRE2
  /// @throws ModelError if it does not compile, or means something else under PCRE2
  static Pattern regex(std::string_view source);
  /// @throws ModelError if @p text is empty
  static Pattern literal(std::string text);

  /// All matches in valid UTF-8, from left to right. A match may be empty, but not directly behind another, nor in an
  /// empty text (as Hugging Face has it).
  /// @throws UsageError if matching exceeds PCRE2's limits
  [[nodiscard]] std::vector<Span> matches(std::string_view text) const;

 private:
  struct Regex;
  Pattern() = default;

  std::string literal_;
  std::shared_ptr<const Regex> regex_;  ///< null for a literal
};

}  // namespace shoal::text
