#include "text/normalizer.hpp"

namespace shoal::text {
namespace {

/// What replaces several characters stands where the last of them stood (Hugging Face's alignment).
bool moves_beginning(std::string_view text, const std::vector<Span>& matches, std::string_view content) {
  if (matches.empty() || matches[0].begin != 0 || matches[0].empty()) return false;
  return content.empty() || first_character(text).size() < matches[0].end;
}

std::string with_replaced(std::string_view text, const std::vector<Span>& matches, std::string_view content) {
  std::string out;
  std::size_t done = 0;
  for (const Span& match : matches) {
    out.append(text.substr(done, match.begin - done)).append(content);
    done = match.end;
  }
  return out.append(text.substr(done));
}

struct Normalize {
  Segment* segment;

  void operator()(NormalForm form) const { segment->text = normalize(segment->text, form); }
  void operator()(Lowercase) const { segment->text = lower_case(segment->text); }
  void operator()(StripSpace strip) const {
    std::string_view text = segment->text;
    if (strip.right) text.remove_suffix(space_at_end(text));
    const std::size_t left = strip.left ? space_at_begin(text) : 0;
    if (left > 0) segment->at_start = false;
    segment->text = std::string(text.substr(left));
  }
  void operator()(const Prepend& prepend) const {
    if (!segment->text.empty()) segment->text.insert(0, prepend.text);
  }
  void operator()(const Replace& replace) const {
    const std::vector<Span> matches = replace.pattern.matches(segment->text);
    if (moves_beginning(segment->text, matches, replace.content)) segment->at_start = false;
    segment->text = with_replaced(segment->text, matches, replace.content);
  }
};

}  // namespace

std::string replaced(std::string_view text, const Replace& replace) {
  return with_replaced(text, replace.pattern.matches(text), replace.content);
}

void normalize(std::span<const Normalizer> normalizers, Segment* segment) {
  for (const Normalizer& normalizer : normalizers) std::visit(Normalize{segment}, normalizer);
}

}  // namespace shoal::text
