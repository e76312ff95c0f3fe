// Pre-tokenizers: cut text into the pieces that BPE never merges across.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "text/pattern.hpp"
#include "text/segment.hpp"
#include "text/splitter.hpp"

namespace shoal::text {

/// Writes every byte as a printable character, after cutting text into words.
struct ByteLevel {
  bool add_prefix_space = true;
  std::optional<Pattern> words;
};
struct Split {
  Pattern pattern;
  SplitRule rule;
  SplitAt at;
};
/// Writes spaces as a visible character, as SentencePiece does.
struct Metaspace {
  enum class Prepend { always, first, never };
  std::string replacement;
  Prepend prepend = Prepend::always;
  std::optional<Pattern> word_beginnings;  ///< where to cut, if at all
};
using PreTokenizer = std::variant<ByteLevel, Split, Metaspace>;

/// Cuts the texts among @p segments further; tokens stay as they are.
std::vector<Segment> pre_tokenized(const PreTokenizer& step, std::vector<Segment> segments);

}  // namespace shoal::text
