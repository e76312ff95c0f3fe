// Added tokens: strings that are cut out of the text before anything else looks at it, e.g. <|im_start|>.
// The rules (single word, stripping, longest first) are those of Hugging Face tokenizers' AddedVocabulary.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::text {

struct AddedToken {
  TokenId id;
  std::string content;
  bool single_word = false;  ///< only between characters that are no letters or digits
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool normalized = false;   ///< searched in the normalised text
  bool special = false;
};

/// A part of a text: an added token, or text still to be encoded.
struct Segment {
  std::optional<TokenId> token;
  std::string text;
};

class AddedTokenFinder {
 public:
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);
  [[nodiscard]] std::vector<Segment> split(std::string_view text) const;

 private:
  [[nodiscard]] const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;  ///< longest first
  std::string first_bytes_;
};

}  // namespace shoal::text
