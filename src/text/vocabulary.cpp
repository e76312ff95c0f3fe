#include "shoal/vocabulary.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace shoal {
namespace {

/// Builds the trie from tokens sorted by their bytes: in that order, depth-first traversal is one pass.
class TrieBuilder {
 public:
  explicit TrieBuilder(const std::vector<std::string>& bytes) : bytes_(bytes) {}

  VocabularyTrie build(std::vector<TokenId> tokens) {
    std::vector<Key> keys;
    keys.reserve(tokens.size());
    for (const TokenId token : tokens) keys.push_back({first_bytes(text(token)), token});
    std::sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) { return goes_before(a, b); });
    trie_.nodes.push_back({0, 0, 0, 0});
    path_.push_back(0);
    for (const Key& key : keys) add(key.token);
    close_below(0);
    trie_.nodes[0].subtree_end = static_cast<std::uint32_t>(trie_.nodes.size());
    return std::move(trie_);
  }

 private:
  /// Most comparisons end at the first eight bytes, which are a number here.
  struct Key {
    std::uint64_t first;
    TokenId token;
  };
  static std::uint64_t first_bytes(const std::string& word) {
    std::uint64_t first = 0;
    for (std::size_t i = 0; i < 8; ++i)
      first = first << 8U | (i < word.size() ? static_cast<unsigned char>(word[i]) : 0U);
    return first;
  }
  [[nodiscard]] bool goes_before(const Key& a, const Key& b) const {
    if (a.first != b.first) return a.first < b.first;
    const int order = text(a.token).compare(text(b.token));
    return order != 0 ? order < 0 : a.token < b.token;
  }

  [[nodiscard]] const std::string& text(TokenId id) const { return bytes_[id.value()]; }

  void add(TokenId token) {
    const std::string& word = text(token);
    const std::size_t shared = std::mismatch(word.begin(), word.end(), word_.begin(), word_.end()).first - word.begin();
    close_below(shared);
    for (std::size_t i = shared; i < word.size(); ++i) {
      const auto next_token = static_cast<std::uint32_t>(trie_.tokens.size());
      path_.push_back(trie_.nodes.size());
      trie_.nodes.push_back({static_cast<std::uint8_t>(word[i]), 0, next_token, next_token});
    }
    word_ = word;
    trie_.tokens.push_back(token);
    trie_.nodes[path_.back()].tokens_end = static_cast<std::uint32_t>(trie_.tokens.size());
  }

  /// Ends the nodes of the current path deeper than @p depth.
  void close_below(std::size_t depth) {
    while (path_.size() > depth + 1) {
      trie_.nodes[path_.back()].subtree_end = static_cast<std::uint32_t>(trie_.nodes.size());
      path_.pop_back();
    }
  }

  const std::vector<std::string>& bytes_;
  VocabularyTrie trie_;
  std::vector<std::size_t> path_;  ///< nodes from the root to the last token's node
  std::string word_;               ///< the last token's bytes
};

/// FNV-1a over all tokens, lengths included.
std::uint64_t fingerprint_of(const std::vector<std::string>& bytes, const std::vector<TokenId>& end) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  const auto mix = [&hash](std::uint64_t byte) { hash = (hash ^ byte) * 0x100000001b3ULL; };
  for (const std::string& word : bytes) {
    mix(word.size());
    for (const char c : word) mix(static_cast<unsigned char>(c));
  }
  for (const TokenId id : end) mix(static_cast<std::uint64_t>(id.value()) + 256);
  return hash;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> bytes, std::vector<TokenId> end)
    : bytes_(std::move(bytes)), end_(std::move(end)) {
  for (const TokenId id : end_) bytes_[id.value()].clear();
  text_tokens_.bits.assign((bytes_.size() + 63) / 64, 0);
  text_tokens_.end = true;
  std::vector<TokenId> with_text;
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    if (bytes_[i].empty()) continue;
    const TokenId id{static_cast<std::int32_t>(i)};
    text_tokens_.set(id);
    with_text.push_back(id);
  }
  trie_ = TrieBuilder(bytes_).build(std::move(with_text));
  fingerprint_ = fingerprint_of(bytes_, end_);
}

}  // namespace shoal
