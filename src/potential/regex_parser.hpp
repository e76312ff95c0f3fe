// Reads RE2-like regular expressions into a syntax tree.
// Accepted: literals, escapes, classes, . | * + ? {m,n}, groups, flags (?imsU), anchors, \b \B, \p{...}, \Q...\E.
// Refused, with the position: look-around, back-references, possessive and atomic groups, all that is not regular.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "potential/code_points.hpp"

namespace shoal {

/// Zero-width conditions on the two neighbours of a position.
enum class Assertion { text_begin, text_end, line_begin, line_end, word_boundary, no_word_boundary };

struct RegexNode {
  enum class Kind { empty, set, concat, alternate, repeat, assertion };
  static constexpr int unbounded = -1;

  Kind kind = Kind::empty;
  CodePointSet set;                             ///< of a set: one code point out of these
  std::vector<RegexNode> children;              ///< of concat, alternate; one of repeat
  int min = 0;                                  ///< of a repeat
  int max = unbounded;                          ///< of a repeat
  Assertion assertion = Assertion::text_begin;  ///< of an assertion
};

enum class CaseRule { sensitive, insensitive };

struct ParsedRegex {
  RegexNode root;
  /// One line for the case that the pattern's automaton grows too large; names the repetition to reduce.
  std::string size_error;
};

/// @param initial how letters match before the first (?i) or (?-i)
/// @throws UsageError "bad regex 'PATTERN': PROBLEM (at position N) ADVICE"; positions count characters from 1
ParsedRegex parse_regex(std::string_view pattern, CaseRule initial = CaseRule::sensitive);

}  // namespace shoal
