#include "text/bpe.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <span>

#include "shoal/error.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

constexpr TokenId no_token{-1};

std::uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left.value())) << 32U |
         static_cast<std::uint32_t>(right.value());
}

std::string byte_token(unsigned byte) {
  std::array<char, 8> name{};
  std::snprintf(name.data(), name.size(), "<0x%02X>", byte);
  return name.data();
}

}  // namespace

/// The symbols of one word as a linked list, and the merges that may come next as a heap: the lowest rank, then the
/// leftmost. Entries that a later merge has overtaken are recognised by the symbols' ids.
class Bpe::Merger {
 public:
  Merger(const Bpe& bpe, std::span<const TokenId> tokens) : bpe_(bpe) {
    const int size = static_cast<int>(tokens.size());
    symbols_.reserve(tokens.size());
    heap_.reserve(tokens.size());
    for (int i = 0; i < size; ++i)
      symbols_.push_back({tokens[static_cast<std::size_t>(i)], i - 1, i + 1 < size ? i + 1 : -1});
    for (int i = 0; i + 1 < size; ++i) find_candidate(i);
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  void append_merged(std::vector<TokenId>* ids) {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const Candidate best = heap_.back();
      heap_.pop_back();
      const int left = static_cast<int>(best & UINT32_MAX);
      if (!join(left, bpe_.merges_[best >> 32U])) continue;
      consider(left);
      consider(symbol(left).previous);
    }
    for (int i = 0; i >= 0; i = symbol(i).next) ids->push_back(symbol(i).id);
  }

 private:
  struct Symbol {
    TokenId id;  ///< none once it has been joined to the one before
    int previous;
    int next;  ///< -1 at the end
  };
  using Candidate = std::uint64_t;  ///< rank of a merge and, in the lower half, the left one of its symbols

  Symbol& symbol(int at) { return symbols_[static_cast<std::size_t>(at)]; }

  bool find_candidate(int left) {
    const auto rank = bpe_.rank_of(symbol(left).id, symbol(symbol(left).next).id);
    if (rank) heap_.push_back(Candidate{*rank} << 32U | static_cast<std::uint32_t>(left));
    return rank.has_value();
  }

  void consider(int left) {
    if (left >= 0 && symbol(left).next >= 0 && find_candidate(left))
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  /// @return whether the symbols still are what the merge joins
  bool join(int left, const Merge& merge) {
    Symbol& kept = symbol(left);
    if (kept.id != merge.left || kept.next < 0 || symbol(kept.next).id != merge.right) return false;
    Symbol& dropped = symbol(kept.next);
    kept.id = merge.result;
    kept.next = dropped.next;
    dropped.id = no_token;
    if (kept.next >= 0) symbol(kept.next).previous = left;
    return true;
  }

  const Bpe& bpe_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

Bpe::Bpe(BpeParts parts)
    : vocabulary_(std::move(parts.vocabulary)), fuse_unknown_(parts.fuse_unknown), ignore_merges_(parts.ignore_merges) {
  merges_.reserve(parts.merges.size());
  ranks_.reserve(parts.merges.size());
  for (const auto& [left, right] : parts.merges) {
    merges_.push_back({id_of_part(left), id_of_part(right), id_of_part(left + right)});
    // Of equal pairs the last counts, as in Hugging Face.
    ranks_[pair_key(merges_.back().left, merges_.back().right)] = static_cast<std::uint32_t>(merges_.size() - 1);
  }
  if (parts.unknown) unknown_ = id_of_part(*parts.unknown);
  for (unsigned byte = 0; parts.byte_fallback && byte < 256; ++byte) {
    const auto found = vocabulary_.find(byte_token(byte));
    byte_tokens_.push_back(found == vocabulary_.end() ? no_token : found->second);
  }
  find_joints();
}

/// Where two initial tokens are not the neighbouring ends of the parts of any merge, words can be cut: most often
/// before a SentencePiece model's space. That keeps the heaps small.
void Bpe::find_joints() {
  struct Ends {
    TokenId first = no_token, last = no_token;
    bool operator==(const Ends&) const = default;
  };
  std::vector<Ends> ends;  // by token: first and last initial token of what can come up
  const auto ends_of = [&](TokenId id) -> Ends& {
    const auto row = static_cast<std::size_t>(id.value());
    if (ends.size() <= row) ends.resize(row + 1);
    return ends[row];
  };
  for (const auto& [piece, id] : vocabulary_)
    if (!piece.empty() && first_character(piece).size() == piece.size()) ends_of(id) = {id, id};
  for (const TokenId id : byte_tokens_)
    if (id != no_token) ends_of(id) = {id, id};
  if (unknown_) ends_of(*unknown_) = {*unknown_, *unknown_};

  joints_.emplace();
  for (bool more = true; more;) {
    more = false;
    for (const Merge& merge : merges_) {
      const Ends left = ends_of(merge.left), right = ends_of(merge.right);
      if (left == Ends{} || right == Ends{}) continue;
      joints_->insert(pair_key(left.last, right.first));
      const Ends whole{left.first, right.last};
      Ends& result = ends_of(merge.result);
      more = more || result == Ends{};
      if (result == Ends{}) result = whole;
      // One token made of different initial tokens (bytes here, characters there): no cuts.
      if (result != whole) return joints_.reset();
    }
  }
}

TokenId Bpe::id_of_part(const std::string& part) const {
  const auto found = vocabulary_.find(part);
  if (found == vocabulary_.end())
    throw ModelError("a merge or the unknown token names the piece '" + part + "', which is not in the vocabulary");
  return found->second;
}

std::optional<std::uint32_t> Bpe::rank_of(TokenId left, TokenId right) const {
  const auto found = ranks_.find(pair_key(left, right));
  if (found == ranks_.end()) return std::nullopt;
  return found->second;
}

/// Only if each byte has a token.
bool Bpe::append_bytes(std::string_view character, std::vector<TokenId>* ids) const {
  if (byte_tokens_.empty()) return false;
  const auto token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
  if (std::any_of(character.begin(), character.end(), [&](char byte) { return token(byte) == no_token; })) return false;
  for (const char byte : character) ids->push_back(token(byte));
  return true;
}

/// As Hugging Face: an unknown token is put down at the next known character only, behind byte tokens in between.
std::vector<TokenId> Bpe::initial_tokens(std::string_view word) const {
  std::vector<TokenId> ids;
  ids.reserve(word.size());
  bool unknown_waits = false;
  const auto put_unknown = [&] {
    if (unknown_waits) ids.push_back(*unknown_);
    unknown_waits = false;
  };
  while (!word.empty()) {
    const std::string_view character = first_character(word);
    word.remove_prefix(character.size());
    if (const auto found = vocabulary_.find(character); found != vocabulary_.end()) {
      put_unknown();
      ids.push_back(found->second);
    } else if (!append_bytes(character, &ids) && unknown_) {
      if (!fuse_unknown_) put_unknown();
      unknown_waits = true;
    }
  }
  put_unknown();
  return ids;
}

void Bpe::encode(std::string_view word, std::vector<TokenId>* ids) const {
  if (ignore_merges_) {
    if (const auto whole = vocabulary_.find(word); whole != vocabulary_.end()) return ids->push_back(whole->second);
  }
  const std::vector<TokenId> tokens = initial_tokens(word);
  for (std::size_t begin = 0; begin < tokens.size();) {
    std::size_t end = begin + 1;
    while (end < tokens.size() && (!joints_ || joints_->contains(pair_key(tokens[end - 1], tokens[end])))) ++end;
    Merger(*this, std::span(tokens).subspan(begin, end - begin)).append_merged(ids);
    begin = end;
  }
}

}  // namespace shoal::text
