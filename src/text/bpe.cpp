#include "text/bpe.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

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

/// The symbols of one word as a linked list, and the merges that may come next as a heap. Entries of the heap that a
/// later merge has overtaken are recognised by their ids.
class Bpe::Merger {
 public:
  Merger(const Bpe& bpe, const std::vector<TokenId>& tokens) : bpe_(bpe) {
    const int size = static_cast<int>(tokens.size());
    symbols_.reserve(tokens.size());
    heap_.reserve(tokens.size());
    for (int i = 0; i < size; ++i)
      symbols_.push_back({tokens[static_cast<std::size_t>(i)], i - 1, i + 1 < size ? i + 1 : -1});
    for (int i = 0; i + 1 < size; ++i) find_candidate(i);
    std::make_heap(heap_.begin(), heap_.end(), later);
  }

  void append_merged(std::vector<TokenId>* ids) {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      const Candidate best = heap_.back();
      heap_.pop_back();
      if (!is_current(best)) continue;
      join(best);
      consider(best.left);
      consider(symbol(best.left).previous);
    }
    for (int i = 0; i >= 0; i = symbol(i).next) ids->push_back(symbol(i).id);
  }

 private:
  struct Symbol {
    TokenId id;  ///< none once it has been joined to the one before
    int previous;
    int next;  ///< -1 at the end
  };
  struct Candidate {
    std::uint32_t rank;
    int left;
    TokenId left_id, right_id;  ///< as they were when the candidate was found
    TokenId result;
  };
  static bool later(const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  }

  Symbol& symbol(int at) { return symbols_[static_cast<std::size_t>(at)]; }

  bool find_candidate(int left) {
    const Symbol& a = symbol(left);
    const TokenId right_id = symbol(a.next).id;
    const Merge* merge = bpe_.merge_of(a.id, right_id);
    if (merge != nullptr) heap_.push_back({merge->rank, left, a.id, right_id, merge->result});
    return merge != nullptr;
  }

  void consider(int left) {
    if (left >= 0 && symbol(left).next >= 0 && find_candidate(left)) std::push_heap(heap_.begin(), heap_.end(), later);
  }

  bool is_current(const Candidate& candidate) {
    const Symbol& left = symbol(candidate.left);
    return left.id == candidate.left_id && left.next >= 0 && symbol(left.next).id == candidate.right_id;
  }

  void join(const Candidate& candidate) {
    Symbol& kept = symbol(candidate.left);
    Symbol& dropped = symbol(kept.next);
    kept.id = candidate.result;
    kept.next = dropped.next;
    dropped.id = no_token;
    if (kept.next >= 0) symbol(kept.next).previous = candidate.left;
  }

  const Bpe& bpe_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

Bpe::Bpe(BpeParts parts)
    : vocabulary_(std::move(parts.vocabulary)), fuse_unknown_(parts.fuse_unknown), ignore_merges_(parts.ignore_merges) {
  merges_.reserve(parts.merges.size());
  for (std::size_t rank = 0; rank < parts.merges.size(); ++rank) {
    const auto& [left, right] = parts.merges[rank];
    merges_.insert_or_assign(pair_key(id_of_part(left), id_of_part(right)),
                             Merge{static_cast<std::uint32_t>(rank), id_of_part(left + right)});
  }
  if (parts.unknown) unknown_ = id_of_part(*parts.unknown);
  if (!parts.byte_fallback) return;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto found = vocabulary_.find(byte_token(byte));
    byte_tokens_.push_back(found == vocabulary_.end() ? no_token : found->second);
  }
}

TokenId Bpe::id_of_part(const std::string& part) const {
  const auto found = vocabulary_.find(part);
  if (found == vocabulary_.end())
    throw ModelError("a merge or the unknown token names the piece '" + part + "', which is not in the vocabulary");
  return found->second;
}

const Bpe::Merge* Bpe::merge_of(TokenId left, TokenId right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
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
  if (!tokens.empty()) Merger(*this, tokens).append_merged(ids);
}

}  // namespace shoal::text
