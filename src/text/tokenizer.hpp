// Tokenizer: text to token ids and back, from a Hugging Face tokenizer.json with a BPE model: byte-level (GPT-2, Qwen,
// Llama 3, ...) or SentencePiece-style (Llama 2, Mistral, Gemma, ...). A component that is not known is refused by
// name.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/ids.hpp"
#include "shoal/language_model.hpp"
#include "text/added_tokens.hpp"
#include "text/bpe.hpp"
#include "text/decoder.hpp"
#include "text/normalizer.hpp"
#include "text/pre_tokenizer.hpp"

namespace shoal::text {

struct TokenizerParts {
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> pre_tokenizers;
  BpeParts bpe;
  std::vector<DecoderStep> decoder;
  std::vector<AddedToken> added;
  std::vector<TokenId> before, after;  ///< what the post-processor puts around a text
};

class Tokenizer {
 public:
  /// @throws ModelError if the parts do not fit together
  explicit Tokenizer(TokenizerParts parts);
  /// @throws ModelError naming the file and what is wrong with it or not supported
  static Tokenizer load(const std::filesystem::path& file);
  /// @param json the content of a tokenizer.json  @param name of the file, for error lines
  static Tokenizer parse(std::string_view json, const std::string& name);

  /// @throws UsageError if @p text is not UTF-8
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens add_special) const;
  /// As Hugging Face's decode with skip_special_tokens=False. Ids without a token give no text; bytes that are not
  /// UTF-8 become U+FFFD. What a model of the Llama 2 family puts before a text's first word (a space) is taken off.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const;

  /// As written in the file; empty for an id without a token.
  [[nodiscard]] const std::string& piece(TokenId id) const;
  /// What the token adds to a text that has begun; maybe a part of a character only. Nothing for a special token.
  [[nodiscard]] std::string bytes(TokenId id) const;
  [[nodiscard]] bool is_special(TokenId id) const;
  /// One more than the largest id.
  [[nodiscard]] int size() const { return static_cast<int>(pieces_.size()); }
  /// @return -1 if there is no such token
  [[nodiscard]] TokenId id_of(const std::string& piece) const;

 private:
  void add_piece(const std::string& piece, TokenId id);
  void encode_text(Segment text, std::vector<TokenId>* ids) const;

  std::vector<Normalizer> normalizers_;
  std::vector<PreTokenizer> pre_tokenizers_;
  std::vector<TokenId> before_, after_;
  Decoder decoder_;
  AddedTokenFinder raw_added_;
  AddedTokenFinder normalized_added_;
  PieceIds added_ids_;
  Bpe bpe_;
  std::vector<std::string> pieces_;  ///< by id
  std::vector<bool> special_;        ///< by id
};

}  // namespace shoal::text
