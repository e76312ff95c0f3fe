// What potentials remember per vocabulary: token masks, bounded and shared by all particles, and facts worked out once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shoal/vocabulary.hpp"

namespace shoal {

using MaskPtr = std::shared_ptr<const TokenMask>;

/// A mask of @p vocabulary's size with no token set and no end.
TokenMask empty_mask(const Vocabulary& vocabulary);

/// Least recently used masks are dropped beyond the limit. Safe to call from several threads; a hit allocates nothing.
class MaskCache {
 public:
  explicit MaskCache(std::size_t byte_limit = std::size_t{64} << 20) : byte_limit_(byte_limit) {}

  /// The mask for (@p vocabulary, @p state), from @p compute when it is not held. Threads that miss at once may each
  /// compute it; all get the same one.
  template <class Compute>
  MaskPtr get(const Vocabulary& vocabulary, std::uint64_t state, const Compute& compute) {
    const Key key{vocabulary.fingerprint(), state};
    if (MaskPtr found = find(key)) return found;
    return insert(key, std::make_shared<const TokenMask>(compute()));
  }

  [[nodiscard]] std::size_t size() const;

 private:
  struct Key {
    std::uint64_t vocabulary;
    std::uint64_t state;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.vocabulary ^ (key.state * 0x9e3779b97f4a7c15ULL); }
  };
  using Entries = std::list<std::pair<Key, MaskPtr>>;

  MaskPtr find(const Key& key);
  MaskPtr insert(const Key& key, MaskPtr mask);

  const std::size_t byte_limit_;
  mutable std::mutex mutex_;
  Entries entries_;  ///< most recently used first
  std::unordered_map<Key, Entries::iterator, KeyHash> places_;
  std::size_t bytes_ = 0;
};

/// One T per vocabulary, computed on first use. Safe to call from several threads.
template <class T>
class PerVocabulary {
 public:
  template <class Compute>
  std::shared_ptr<const T> get(const Vocabulary& vocabulary, const Compute& compute) {
    const std::scoped_lock lock(mutex_);
    auto& value = values_[vocabulary.fingerprint()];
    if (!value) value = std::make_shared<const T>(compute());
    return value;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const T>> values_;
};

/// Feeds every token to an automaton in one depth-first walk of the trie; a subtree below a dead byte is skipped.
/// @param step  step(state, byte, &next) -> whether next is alive
/// @param visit visit(tokens, state) with the tokens that end in this state -> whether to go on
template <class State, class Step, class Visit>
void walk_tokens(const VocabularyTrie& trie, const State& start, const Step& step, const Visit& visit) {
  struct Level {
    std::uint32_t end;
    State state;
  };
  const auto size = static_cast<std::uint32_t>(trie.nodes.size());
  std::vector<Level> path{{size, start}};
  for (std::uint32_t i = 1; i < size;) {
    const auto& node = trie.nodes[i];
    while (i >= path.back().end) path.pop_back();
    State next = start;
    if (!step(path.back().state, node.byte, &next)) {
      i = node.subtree_end;
      continue;
    }
    if (node.tokens_begin != node.tokens_end) {
      const auto tokens = std::span(trie.tokens).subspan(node.tokens_begin, node.tokens_end - node.tokens_begin);
      if (!visit(tokens, next)) return;
    }
    if (node.subtree_end > ++i) path.push_back({node.subtree_end, next});
  }
}

}  // namespace shoal
