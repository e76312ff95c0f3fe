#include "text/decoder.hpp"

#include <charconv>
#include <optional>

#include "text/byte_level.hpp"

namespace shoal::text {
namespace {

std::optional<char> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned value = 0;
  const char* const end = token.data() + 5;
  if (std::from_chars(token.data() + 3, end, value, 16).ptr != end) return std::nullopt;
  return static_cast<char>(value);
}

std::string stripped(std::string_view token, const StripCharacter& strip) {
  for (std::size_t i = 0; i < strip.left && token.starts_with(strip.character); ++i)
    token.remove_prefix(strip.character.size());
  for (std::size_t i = 0; i < strip.right && token.ends_with(strip.character); ++i)
    token.remove_suffix(strip.character.size());
  return std::string(token);
}

std::string joined(const std::vector<std::string>& tokens) {
  std::string all;
  for (const std::string& token : tokens) all += token;
  return all;
}

/// A run of bytes as text: as a whole if it is UTF-8, else a sign for each byte.
std::string text_of_bytes(const std::string& bytes) {
  if (!first_invalid_utf8(bytes)) return bytes;
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) append_utf8(0xFFFD, &out);
  return out;
}

std::vector<std::string> with_byte_runs_joined(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string bytes;
  const auto flush = [&] {
    if (!bytes.empty()) out.push_back(text_of_bytes(bytes));
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const auto byte = byte_of_token(token)) {
      bytes += *byte;
      continue;
    }
    flush();
    out.push_back(token);
  }
  flush();
  return out;
}

/// One step over all tokens of a sequence.
struct Decode {
  std::vector<std::string>* tokens;

  void operator()(FromByteLevel) const {
    for (std::string& token : *tokens) token = from_byte_level(token);
    *tokens = {replace_invalid_utf8(joined(*tokens))};
  }
  void operator()(FromByteTokens) const { *tokens = with_byte_runs_joined(*tokens); }
  void operator()(Fuse) const { *tokens = {joined(*tokens)}; }
  void operator()(const StripCharacter& strip) const {
    for (std::string& token : *tokens) token = stripped(token, strip);
  }
  void operator()(const FromMetaspace& step) const {
    for (std::size_t i = 0; i < tokens->size(); ++i) {
      const bool drop = i == 0 && step.drop_in_first;
      (*tokens)[i] = replaced((*tokens)[i], {Pattern::literal(step.replacement), drop ? "" : " "});
    }
  }
  void operator()(const Replace& replace) const {
    for (std::string& token : *tokens) token = replaced(token, replace);
  }
};

/// One step over a token in the middle of a sequence. @return false when what follows concerns the text's ends only
struct DecodeOne {
  std::string* token;

  bool operator()(FromByteLevel) const {
    *token = from_byte_level(*token);
    return false;
  }
  bool operator()(FromByteTokens) const {
    const auto byte = byte_of_token(*token);
    if (byte) *token = *byte;
    return !first_invalid_utf8(*token);
  }
  bool operator()(Fuse) const { return false; }
  bool operator()(const StripCharacter& strip) const {
    *token = stripped(*token, strip);
    return true;
  }
  bool operator()(const FromMetaspace& step) const {
    *token = replaced(*token, {Pattern::literal(step.replacement), " "});
    return true;
  }
  bool operator()(const Replace& replace) const {
    *token = replaced(*token, replace);
    return true;
  }
};

}  // namespace

std::string Decoder::text(std::vector<std::string> tokens) const {
  for (const DecoderStep& step : steps_) std::visit(Decode{&tokens}, step);
  return joined(tokens);
}

std::string Decoder::bytes(std::string token) const {
  for (const DecoderStep& step : steps_)
    if (!std::visit(DecodeOne{&token}, step)) break;
  return token;
}

}  // namespace shoal::text
