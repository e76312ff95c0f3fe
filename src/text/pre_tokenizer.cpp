#include "text/pre_tokenizer.hpp"

#include "text/byte_level.hpp"
#include "text/normalizer.hpp"

namespace shoal::text {
namespace {

/// Cuts one text, putting its pieces behind @p out.
struct Cut {
  Segment segment;
  std::vector<Segment>* out;

  void operator()(const ByteLevel& step) {
    if (step.add_prefix_space && !segment.text.starts_with(' ')) segment.text.insert(0, 1, ' ');
    const std::size_t first = out->size();
    if (step.words)
      put(*step.words, SplitRule::isolated, SplitAt::matches);
    else
      out->push_back(std::move(segment));
    for (std::size_t i = first; i < out->size(); ++i) (*out)[i].text = to_byte_level((*out)[i].text);
  }

  void operator()(const Split& step) { put(step.pattern, step.rule, step.at); }

  void operator()(const Metaspace& step) {
    segment.text = replaced(segment.text, {Pattern::literal(" "), step.replacement});
    const bool prepend =
        step.prepend == Metaspace::Prepend::always || (step.prepend == Metaspace::Prepend::first && segment.at_start);
    if (prepend && !segment.text.starts_with(step.replacement)) segment.text.insert(0, step.replacement);
    if (step.word_beginnings)
      put(*step.word_beginnings, SplitRule::merged_with_next, SplitAt::matches);
    else
      out->push_back(std::move(segment));
  }

  void put(const Pattern& pattern, SplitRule rule, SplitAt at) {
    for (const Span& span : split(segment.text, pattern, rule, at))
      out->push_back({std::nullopt, std::string(span.of(segment.text)), segment.at_start && span.begin == 0});
  }
};

}  // namespace

std::vector<Segment> pre_tokenized(const PreTokenizer& step, std::vector<Segment> segments) {
  std::vector<Segment> out;
  for (Segment& segment : segments) {
    if (segment.token)
      out.push_back(std::move(segment));
    else if (!segment.text.empty())
      std::visit(Cut{std::move(segment), &out}, step);
  }
  return out;
}

}  // namespace shoal::text
