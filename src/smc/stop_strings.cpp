#include "smc/stop_strings.hpp"

#include <algorithm>
#include <deque>

namespace shoal::smc {

StopStrings::StopStrings(std::span<const std::string> strings, const Vocabulary& vocabulary)
    : nodes_(1), vocabulary_(&vocabulary) {
  for (const std::string& text : strings) add(text);
  link();
  completing_ = std::make_unique<CachedMask[]>(nodes_.size());
}

void StopStrings::add(const std::string& text) {
  State at = 0;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (nodes_[at].next[byte] == 0) {
      nodes_[at].next[byte] = static_cast<State>(nodes_.size());
      nodes_.emplace_back();
    }
    at = nodes_[at].next[byte];
  }
  nodes_[at].match = text.size();
}

/// Breadth first: a node's missing edges are those of its longest proper suffix that is a node.
void StopStrings::link() {
  std::deque<State> queue;
  for (const State child : nodes_[0].next)
    if (child != 0) queue.push_back(child);
  while (!queue.empty()) {
    Node& node = nodes_[queue.front()];
    queue.pop_front();
    const Node& suffix = nodes_[node.fallback];
    node.match = std::max(node.match, suffix.match);
    for (std::size_t byte = 0; byte < node.next.size(); ++byte) {
      State& child = node.next[byte];
      if (child == 0) {
        child = suffix.next[byte];
      } else {
        nodes_[child].fallback = suffix.next[byte];
        queue.push_back(child);
      }
    }
  }
}

std::optional<std::size_t> StopStrings::advance(State* state, std::string_view bytes) const {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    *state = nodes_[*state].next[static_cast<std::uint8_t>(bytes[i])];
    if (const std::size_t match = nodes_[*state].match; match > 0) return match + (bytes.size() - i - 1);
  }
  return std::nullopt;
}

const TokenMask& StopStrings::completing_tokens(State state) const {
  CachedMask& cached = completing_[state];
  std::call_once(cached.once, [&] { cached.mask = find_completing_tokens(state); });
  return cached.mask;
}

/// Walks the vocabulary's trie; all tokens at or below a byte that completes a string complete it.
TokenMask StopStrings::find_completing_tokens(State state) const {
  const VocabularyTrie& trie = vocabulary_->trie();
  TokenMask mask;
  mask.bits.assign(vocabulary_->text_tokens().bits.size(), 0);
  struct Open {
    std::uint32_t subtree_end;
    State state;
  };
  std::vector<Open> path = {{trie.nodes[0].subtree_end, state}};
  for (std::uint32_t i = 1; i < trie.nodes.size();) {
    const auto& node = trie.nodes[i];
    while (i >= path.back().subtree_end) path.pop_back();
    const State next = nodes_[path.back().state].next[node.byte];
    path.push_back({node.subtree_end, next});
    if (nodes_[next].match == 0) {
      ++i;
      continue;
    }
    const std::uint32_t tokens_end = node.subtree_end < trie.nodes.size()
                                         ? trie.nodes[node.subtree_end].tokens_begin
                                         : static_cast<std::uint32_t>(trie.tokens.size());
    for (std::uint32_t t = node.tokens_begin; t < tokens_end; ++t) mask.set(trie.tokens[t]);
    i = node.subtree_end;
  }
  return mask;
}

}  // namespace shoal::smc
