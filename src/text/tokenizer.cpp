#include "text/tokenizer.hpp"

#include <algorithm>

#include "shoal/error.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

std::vector<AddedToken> raw_tokens(std::vector<AddedToken> tokens) {
  std::erase_if(tokens, [](const AddedToken& token) { return token.normalized; });
  return tokens;
}

/// Tokens that are searched in normalised text are normalised themselves.
std::vector<AddedToken> normalized_tokens(std::vector<AddedToken> tokens, std::span<const Normalizer> normalizers) {
  std::erase_if(tokens, [](const AddedToken& token) { return !token.normalized; });
  for (AddedToken& token : tokens) {
    Segment content{std::nullopt, token.content};
    normalize(normalizers, &content);
    token.content = content.text;
  }
  return tokens;
}

PieceIds ids_of(const std::vector<AddedToken>& tokens) {
  PieceIds ids;
  for (const AddedToken& token : tokens) ids.emplace(token.content, token.id);
  return ids;
}

}  // namespace

Tokenizer::Tokenizer(TokenizerParts parts)
    : normalizers_(std::move(parts.normalizers)),
      pre_tokenizers_(std::move(parts.pre_tokenizers)),
      before_(std::move(parts.before)),
      after_(std::move(parts.after)),
      decoder_(std::move(parts.decoder)),
      raw_added_(raw_tokens(parts.added)),
      normalized_added_(normalized_tokens(parts.added, normalizers_)),
      added_ids_(ids_of(parts.added)),
      bpe_(std::move(parts.bpe)) {
  pieces_.reserve(bpe_.vocabulary().size() + parts.added.size());
  for (const auto& [piece, id] : bpe_.vocabulary()) add_piece(piece, id);
  for (const AddedToken& token : parts.added) add_piece(token.content, token.id);
  special_.resize(pieces_.size());
  for (const AddedToken& token : parts.added) special_[static_cast<std::size_t>(token.id.value())] = token.special;
  // What is searched in normalised text is also decoded as such.
  for (const AddedToken& token : normalized_tokens(parts.added, normalizers_))
    pieces_[static_cast<std::size_t>(token.id.value())] = token.content;
}

void Tokenizer::add_piece(const std::string& piece, TokenId id) {
  const auto row = static_cast<std::size_t>(id.value());
  if (pieces_.size() <= row) pieces_.resize(row + 1);
  if (!pieces_[row].empty() && pieces_[row] != piece)
    throw ModelError("the token id " + std::to_string(row) + " stands for both '" + pieces_[row] + "' and '" + piece +
                     "'");
  if (id_of(piece) != id) throw ModelError("the token '" + piece + "' has two ids");
  pieces_[row] = piece;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens add_special) const {
  if (const auto bad = first_invalid_utf8(text))
    throw UsageError("bad text (not UTF-8 at byte " + std::to_string(*bad + 1) + ") convert it, e.g. with iconv");
  std::vector<TokenId> ids;
  if (add_special == SpecialTokens::yes) ids = before_;
  for (Segment& segment : raw_added_.split({std::nullopt, std::string(text), true})) {
    if (segment.token)
      ids.push_back(*segment.token);
    else
      encode_text(std::move(segment), &ids);
  }
  if (add_special == SpecialTokens::yes) ids.insert(ids.end(), after_.begin(), after_.end());
  return ids;
}

void Tokenizer::encode_text(Segment text, std::vector<TokenId>* ids) const {
  normalize(normalizers_, &text);
  std::vector<Segment> segments = normalized_added_.split(text);
  for (const PreTokenizer& step : pre_tokenizers_) segments = pre_tokenized(step, std::move(segments));
  for (const Segment& segment : segments) {
    if (segment.token)
      ids->push_back(*segment.token);
    else
      bpe_.encode(segment.text, ids);
  }
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::vector<std::string> tokens;
  for (const TokenId id : ids)
    if (const std::string& token = piece(id); !token.empty()) tokens.push_back(token);
  return decoder_.text(std::move(tokens));
}

const std::string& Tokenizer::piece(TokenId id) const {
  static const std::string none;
  const auto row = static_cast<std::size_t>(id.value());
  return row < pieces_.size() ? pieces_[row] : none;
}

std::string Tokenizer::bytes(TokenId id) const { return is_special(id) ? std::string() : decoder_.bytes(piece(id)); }

bool Tokenizer::is_special(TokenId id) const {
  const auto row = static_cast<std::size_t>(id.value());
  return row < special_.size() && special_[row];
}

TokenId Tokenizer::id_of(const std::string& piece) const {
  for (const PieceIds* ids : {&added_ids_, &bpe_.vocabulary()})
    if (const auto found = ids->find(piece); found != ids->end()) return found->second;
  return TokenId{-1};
}

}  // namespace shoal::text
