// Cuts text into pieces around the matches of a pattern, by the rules of Hugging Face's SplitDelimiterBehavior.
#pragma once

#include <string_view>
#include <vector>

#include "text/pattern.hpp"

namespace shoal::text {

/// What becomes of a match.
enum class SplitRule {
  isolated,              ///< a piece of its own
  removed,               ///< nothing
  merged_with_previous,  ///< the end of the piece before it
  merged_with_next,      ///< the beginning of the piece behind it
  contiguous             ///< one piece together with the matches that touch it
};
/// Whether the rule applies to the matches or to what lies between them.
enum class SplitAt { matches, gaps };

/// The pieces in order; none is empty.
std::vector<Span> split(std::string_view text, const Pattern& pattern, SplitRule rule, SplitAt at);

}  // namespace shoal::text
