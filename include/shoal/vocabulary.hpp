// Vocabulary: what each token of a model adds to the text, as bytes, and which tokens end it.
// Potentials see bytes only; the trie over all token bytes lets them mark the allowed tokens in one walk
// (llguidance's toktrie: skip a subtree at its first dead byte).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal {

/// Set of tokens, one bit each, plus whether the text may end here.
struct TokenMask {
  std::vector<std::uint64_t> bits;  ///< ceil(vocabulary size / 64) words
  bool end = false;                 ///< end of sequence allowed

  [[nodiscard]] bool test(TokenId id) const { return bits[id.value() / 64] >> (id.value() % 64) & 1U; }
  void set(TokenId id) { bits[id.value() / 64] |= std::uint64_t{1} << (id.value() % 64); }
};

/// Tokens' bytes as a trie, flattened in depth-first order. Node 0 is the root; nodes [i+1, subtree_end) lie below i.
struct VocabularyTrie {
  struct Node {
    std::uint8_t byte;           ///< byte on the edge into this node
    std::uint32_t subtree_end;   ///< index one past the last node below this one
    std::uint32_t tokens_begin;  ///< tokens that end at this node: tokens[tokens_begin, tokens_end)
    std::uint32_t tokens_end;
  };
  std::vector<Node> nodes;
  std::vector<TokenId> tokens;
};

class Vocabulary {
 public:
  /// @param bytes one entry per row of the model's output; empty = no text (special tokens, rows beyond the tokenizer):
  ///              such a token is never proposed unless it is in @p end
  /// @param end   tokens that end the sequence; their probabilities are summed into one end event
  Vocabulary(std::vector<std::string> bytes, std::vector<TokenId> end);

  [[nodiscard]] int size() const { return static_cast<int>(bytes_.size()); }
  [[nodiscard]] std::string_view bytes(TokenId id) const { return bytes_[id.value()]; }
  [[nodiscard]] std::span<const TokenId> end_tokens() const { return end_; }
  /// Tokens that carry text and do not end the sequence.
  [[nodiscard]] const TokenMask& text_tokens() const { return text_tokens_; }
  [[nodiscard]] const VocabularyTrie& trie() const { return trie_; }
  /// Differs between vocabularies with high probability; key for mask caches.
  [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  std::vector<std::string> bytes_;
  std::vector<TokenId> end_;
  TokenMask text_tokens_;
  VocabularyTrie trie_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace shoal
