// Added tokens: strings that are cut out of the text before anything else looks at it, e.g. <|im_start|>.
// The rules (single word, stripping, longest first) are those of Hugging Face tokenizers' AddedVocabulary.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/ids.hpp"
#include "text/segment.hpp"

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

class AddedTokenFinder {
 public:
  /// Of equal contents the first counts; empty ones never do.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);
  /// Cuts @p text at the tokens' occurrences, the leftmost and then the longest first.
  [[nodiscard]] std::vector<Segment> split(const Segment& text) const;

 private:
  [[nodiscard]] const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;        ///< by first byte, then longest first
  std::array<std::size_t, 257> begin_{};  ///< tokens that begin with byte b: [begin_[b], begin_[b + 1])
};

}  // namespace shoal::text
