// Fuzz target: tokenizer files and texts. The input is a JSON merge patch for a small tokenizer, a zero byte, a text.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "shoal/error.hpp"
#include "text/tokenizer.hpp"
#include "text/unicode.hpp"

namespace {

using nlohmann::json;
using shoal::TokenId;
using shoal::text::Tokenizer;

json base_file() {
  json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  const auto add = [&](const std::string& piece) { vocabulary.emplace(piece, vocabulary.size()); };
  for (const char* piece :
       {"<0x0A>", "<0xE2>", "<0x96>", "\u2581", "a",      "b",  "c",  "e",       "l",       "o",   "1",   "2",
        "\u0120", "\u010a", "\u00e2", "\u0138", "\u00e9", "ab", "lo", "\u2581a", "\u0120a", "abc", "lolo"})
    add(piece);
  return {{"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteFallback"}}},
          {"added_tokens",
           {{{"id", 1}, {"content", "<s>"}, {"special", true}},
            {{"id", 40}, {"content", "<x>"}, {"lstrip", true}, {"rstrip", true}},
            {{"id", 41}, {"content", "\u00c9"}, {"normalized", true}, {"single_word", true}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocabulary},
            {"merges", {"a b", "l o", "\u2581 a", "\u0120 a", {"ab", "c"}, {"lo", "lo"}}}}}};
}

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text, shoal::SpecialTokens::yes);
  for (const TokenId id : ids) require(id.value() >= 0 && id.value() < (1 << 20));
  require(!shoal::text::first_invalid_utf8(tokenizer.decode(ids)));
  for (int i = -1; i <= std::min(tokenizer.size(), 100); ++i) {
    (void)tokenizer.bytes(TokenId{i});
    require(!shoal::text::first_invalid_utf8(tokenizer.decode(std::vector{TokenId{i}, TokenId{3}, TokenId{4}})));
  }
}

/// Loads @p file and uses it on @p text; errors meant for the user are what is expected of bad input.
void try_out(const std::string& file, const std::string& text) {
  try {
    use(Tokenizer::parse(file, "file"), text);
  } catch (const shoal::ModelError& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos);
  } catch (const shoal::UsageError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = std::min(input.find('\0'), size);
  const std::string patch = input.substr(0, zero);
  const std::string text = input.substr(std::min(zero + 1, size));
  try_out(patch, text);
  if (std::count(patch.begin(), patch.end(), '{') + std::count(patch.begin(), patch.end(), '[') > 200) return 0;
  const json change = json::parse(patch, nullptr, false);
  if (change.is_discarded()) return 0;
  static const json base = base_file();
  json file = base;
  file.merge_patch(change);
  try_out(file.dump(), text);
  return 0;
}
