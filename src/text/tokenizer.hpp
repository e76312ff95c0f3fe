// Tokenizer: text to token ids and back, from a Hugging Face tokenizer.json with a byte-level BPE model.
// A component that is not known is refused by name.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shoal/ids.hpp"
#include "shoal/language_model.hpp"
#include "text/added_tokens.hpp"
#include "text/bpe.hpp"
#include "text/splitter.hpp"
#include "text/unicode.hpp"

namespace shoal::text {

enum class PrefixSpace { none, add };

/// One step of pre-tokenization: cut by a pattern, or write each piece in byte-level characters.
struct PreTokenizerStep {
  std::optional<PatternSplitter> splitter;
  PrefixSpace prefix_space = PrefixSpace::none;  ///< before splitting
  bool byte_level = false;                       ///< after splitting
};

struct TokenizerParts {
  std::vector<NormalForm> normalizers;
  std::vector<PreTokenizerStep> pre_tokenizers;
  std::unordered_map<std::string, TokenId> vocabulary;
  Bpe::Merges merges;
  Bpe::WholeWords whole_words = Bpe::WholeWords::merge;
  std::vector<AddedToken> added;
  std::vector<TokenId> before, after;  ///< what the post-processor puts around a text
};

class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts);
  /// @throws ModelError naming the file and what is wrong with it or not supported
  static Tokenizer load(const std::filesystem::path& file);

  /// @throws UsageError if @p text is not UTF-8
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens add_special) const;
  /// Ids without a token give no text; bytes that are not UTF-8 become U+FFFD.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const;

  /// As written in the file; empty for an id without a token.
  [[nodiscard]] const std::string& piece(TokenId id) const;
  [[nodiscard]] std::string bytes(TokenId id) const;
  [[nodiscard]] bool is_special(TokenId id) const;
  /// One more than the largest id.
  [[nodiscard]] int size() const { return static_cast<int>(pieces_.size()); }
  /// @return -1 if there is no such token
  [[nodiscard]] TokenId id_of(const std::string& piece) const;

 private:
  [[nodiscard]] std::string normalized(std::string_view text) const;
  void encode_part(std::string_view text, std::vector<TokenId>* ids) const;

  std::vector<NormalForm> normalizers_;
  std::vector<PreTokenizerStep> pre_tokenizers_;
  std::vector<TokenId> before_, after_;
  std::vector<std::string> pieces_;  ///< by id
  std::vector<char> special_;        ///< by id
  std::unordered_map<std::string, TokenId> ids_;
  AddedTokenFinder raw_added_;
  AddedTokenFinder normalized_added_;
  Bpe bpe_;
};

}  // namespace shoal::text
