#include "text/splitter.hpp"

#include <algorithm>

namespace shoal::text {
namespace {

struct Part {
  Span span;
  bool delimiter;
};

/// Matches and gaps that together cover the text.
std::vector<Part> parts_of(std::string_view text, const Pattern& pattern, SplitAt at) {
  const bool match_delimits = at == SplitAt::matches;
  std::vector<Part> parts;
  std::size_t done = 0;
  for (const Span& match : pattern.matches(text)) {
    if (done < match.begin) parts.push_back({{done, match.begin}, !match_delimits});
    parts.push_back({match, match_delimits});
    done = match.end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, !match_delimits});
  return parts;
}

/// Whether a part is joined to the one before it in reading order.
bool joins(SplitRule rule, bool delimiter, bool previous_is_delimiter) {
  if (rule == SplitRule::contiguous) return delimiter == previous_is_delimiter;
  const bool merges = rule == SplitRule::merged_with_previous || rule == SplitRule::merged_with_next;
  return merges && delimiter && !previous_is_delimiter;
}

std::vector<Span> joined(const std::vector<Part>& parts, SplitRule rule) {
  std::vector<Span> spans;
  bool previous = false;
  for (const Part& part : parts) {
    if (!spans.empty() && joins(rule, part.delimiter, previous))
      spans.back() = {std::min(spans.back().begin, part.span.begin), std::max(spans.back().end, part.span.end)};
    else
      spans.push_back(part.span);
    previous = part.delimiter;
  }
  return spans;
}

}  // namespace

std::vector<Span> split(std::string_view text, const Pattern& pattern, SplitRule rule, SplitAt at) {
  std::vector<Part> parts = parts_of(text, pattern, at);
  if (rule == SplitRule::removed) std::erase_if(parts, [](const Part& part) { return part.delimiter; });
  const bool backwards = rule == SplitRule::merged_with_next;
  if (backwards) std::reverse(parts.begin(), parts.end());
  std::vector<Span> spans = joined(parts, rule);
  if (backwards) std::reverse(spans.begin(), spans.end());
  std::erase_if(spans, [](const Span& span) { return span.empty(); });
  return spans;
}

}  // namespace shoal::text
