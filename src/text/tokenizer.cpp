#include "text/tokenizer.hpp"

#include <algorithm>

#include "shoal/error.hpp"
#include "text/byte_level.hpp"

namespace shoal::text {
namespace {

std::vector<AddedToken> select(const std::vector<AddedToken>& all, bool normalized) {
  std::vector<AddedToken> chosen;
  std::copy_if(all.begin(), all.end(), std::back_inserter(chosen),
               [&](const AddedToken& token) { return token.normalized == normalized; });
  return chosen;
}

std::string normalize_all(std::string_view text, const std::vector<NormalForm>& forms) {
  std::string out(text);
  for (const NormalForm form : forms) out = normalize(out, form);
  return out;
}

std::vector<AddedToken> with_normalized_content(std::vector<AddedToken> tokens, const std::vector<NormalForm>& forms) {
  for (AddedToken& token : tokens) token.content = normalize_all(token.content, forms);
  return tokens;
}

std::vector<std::string> pieces_after(const PreTokenizerStep& step, const std::vector<std::string>& pieces) {
  std::vector<std::string> out;
  for (std::string piece : pieces) {
    if (step.prefix_space == PrefixSpace::add && !piece.starts_with(' ')) piece.insert(0, 1, ' ');
    std::vector<std::string> parts = step.splitter ? step.splitter->split(piece) : std::vector{std::move(piece)};
    for (std::string& part : parts) out.push_back(step.byte_level ? to_byte_level(part) : std::move(part));
  }
  return out;
}

}  // namespace

Tokenizer::Tokenizer(TokenizerParts parts)
    : normalizers_(parts.normalizers),
      pre_tokenizers_(parts.pre_tokenizers),
      before_(parts.before),
      after_(parts.after),
      ids_(parts.vocabulary),
      raw_added_(select(parts.added, false)),
      normalized_added_(with_normalized_content(select(parts.added, true), parts.normalizers)),
      bpe_(std::move(parts.vocabulary), parts.merges, parts.whole_words) {
  for (const AddedToken& token : parts.added) ids_.insert_or_assign(token.content, token.id);
  for (const auto& [piece, id] : ids_) {
    const auto row = static_cast<std::size_t>(id.value());
    if (pieces_.size() <= row) pieces_.resize(row + 1);
    pieces_[row] = piece;
  }
  special_.assign(pieces_.size(), 0);
  for (const AddedToken& token : parts.added) special_[static_cast<std::size_t>(token.id.value())] = token.special;
}

std::string Tokenizer::normalized(std::string_view text) const { return normalize_all(text, normalizers_); }

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens add_special) const {
  if (const auto bad = first_invalid_utf8(text))
    throw UsageError("bad text (not UTF-8 at byte " + std::to_string(*bad + 1) + ") convert it, e.g. with iconv");
  std::vector<TokenId> ids;
  if (add_special == SpecialTokens::yes) ids = before_;
  for (const Segment& segment : raw_added_.split(text)) {
    if (segment.token) {
      ids.push_back(*segment.token);
      continue;
    }
    for (const Segment& part : normalized_added_.split(normalized(segment.text))) {
      if (part.token)
        ids.push_back(*part.token);
      else
        encode_part(part.text, &ids);
    }
  }
  if (add_special == SpecialTokens::yes) ids.insert(ids.end(), after_.begin(), after_.end());
  return ids;
}

void Tokenizer::encode_part(std::string_view text, std::vector<TokenId>* ids) const {
  std::vector<std::string> pieces{std::string(text)};
  for (const PreTokenizerStep& step : pre_tokenizers_) pieces = pieces_after(step, pieces);
  for (const std::string& piece : pieces) {
    const auto tokens = bpe_.encode(piece);
    ids->insert(ids->end(), tokens.begin(), tokens.end());
  }
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += bytes(id);
  return replace_invalid_utf8(text);
}

const std::string& Tokenizer::piece(TokenId id) const {
  static const std::string none;
  const auto row = static_cast<std::size_t>(id.value());
  return row < pieces_.size() ? pieces_[row] : none;
}

std::string Tokenizer::bytes(TokenId id) const { return from_byte_level(piece(id)); }

bool Tokenizer::is_special(TokenId id) const {
  const auto row = static_cast<std::size_t>(id.value());
  return row < special_.size() && special_[row] != 0;
}

TokenId Tokenizer::id_of(const std::string& piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? TokenId{-1} : found->second;
}

}  // namespace shoal::text
