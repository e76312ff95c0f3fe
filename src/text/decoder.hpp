// Decoder: tokens back to text (Hugging Face's "decoder").
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "text/normalizer.hpp"

namespace shoal::text {

/// Printable characters back to the bytes that they stand for.
struct FromByteLevel {};
/// <0x0A> to the byte; bytes that are not UTF-8 become U+FFFD, one each.
struct FromByteTokens {};
/// All tokens to one.
struct Fuse {};
/// Takes a character off each token's ends, so many times at most.
struct StripCharacter {
  std::string character;
  std::size_t left = 0;
  std::size_t right = 0;
};
struct FromMetaspace {
  std::string replacement;
  bool drop_in_first = false;  ///< in the first token it stands for nothing rather than for a space
};
using DecoderStep = std::variant<FromByteLevel, FromByteTokens, Fuse, StripCharacter, FromMetaspace, Replace>;

class Decoder {
 public:
  explicit Decoder(std::vector<DecoderStep> steps) : steps_(std::move(steps)) {}

  /// The text of a whole sequence.
  [[nodiscard]] std::string text(std::vector<std::string> tokens) const;
  /// What a token adds to a text that has begun, maybe a part of a character only.
  [[nodiscard]] std::string bytes(std::string token) const;

 private:
  std::vector<DecoderStep> steps_;
};

}  // namespace shoal::text
