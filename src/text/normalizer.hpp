// Normalizers: what happens to text before it is cut into pieces (Hugging Face's "normalizer").
#pragma once

#include <span>
#include <string>
#include <variant>

#include "text/pattern.hpp"
#include "text/segment.hpp"
#include "text/unicode.hpp"

namespace shoal::text {

struct Lowercase {};
struct StripSpace {
  bool left = true;
  bool right = true;
};
/// Puts a string before text that is not empty.
struct Prepend {
  std::string text;
};
struct Replace {
  Pattern pattern;
  std::string content;
};
using Normalizer = std::variant<NormalForm, Lowercase, StripSpace, Prepend, Replace>;

/// Each match of the pattern becomes the content.
std::string replaced(std::string_view text, const Replace& replace);

/// @p segment holds text, not a token.
void normalize(std::span<const Normalizer> normalizers, Segment* segment);

}  // namespace shoal::text
