#include "potential/dfa_masks.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace shoal {
namespace {

std::size_t index(std::int32_t i) { return static_cast<std::size_t>(i); }

template <class Visit>
void walk_dfa(const Dfa& dfa, std::int32_t state, const Vocabulary& vocabulary, const Visit& visit) {
  const auto step = [&dfa](std::int32_t from, std::uint8_t byte, std::int32_t* to) {
    *to = dfa.step(from, byte);
    return *to != Dfa::dead;
  };
  walk_tokens(vocabulary.trie(), state, step, visit);
}

/// Spreads liveness backwards along edges source -> target.
class BackwardSearch {
 public:
  explicit BackwardSearch(std::vector<std::uint8_t> live) : live_(std::move(live)), sources_(live_.size()) {}

  void add_edge(std::int32_t source, std::int32_t target) { sources_[index(target)].push_back(source); }

  std::vector<std::uint8_t> run() {
    std::vector<std::int32_t> pending;
    for (std::size_t s = 0; s < live_.size(); ++s)
      if (live_[s] != 0) pending.push_back(static_cast<std::int32_t>(s));
    while (!pending.empty()) {
      const std::int32_t state = pending.back();
      pending.pop_back();
      for (const std::int32_t source : sources_[index(state)])
        if (std::exchange(live_[index(source)], std::uint8_t{1}) == 0) pending.push_back(source);
    }
    return std::move(live_);
  }

 private:
  std::vector<std::uint8_t> live_;
  std::vector<std::vector<std::int32_t>> sources_;
};

using ByteClassSet = std::vector<std::uint8_t>;  ///< [byte class] 0 or 1

/// Classes with a byte that is a token by itself.
ByteClassSet single_byte_classes(const Dfa& dfa, const VocabularyTrie& trie) {
  ByteClassSet single(index(dfa.classes), 0);
  for (std::uint32_t child = 1; child < trie.nodes.size(); child = trie.nodes[child].subtree_end)
    if (trie.nodes[child].tokens_begin != trie.nodes[child].tokens_end)
      single[dfa.byte_class[trie.nodes[child].byte]] = 1;
  return single;
}

/// Classes with a byte that some token contains.
ByteClassSet occurring_classes(const Dfa& dfa, const VocabularyTrie& trie) {
  ByteClassSet occurring(index(dfa.classes), 0);
  for (std::size_t node = 1; node < trie.nodes.size(); ++node) occurring[dfa.byte_class[trie.nodes[node].byte]] = 1;
  return occurring;
}

/// States that reach acceptance through bytes of these classes.
std::vector<std::uint8_t> live_by_bytes(const Dfa& dfa, const ByteClassSet& classes) {
  BackwardSearch search(dfa.accepting);
  for (std::size_t i = 0; i < dfa.next.size(); ++i)
    if (dfa.next[i] != Dfa::dead && classes[i % classes.size()] != 0)
      search.add_edge(static_cast<std::int32_t>(i / classes.size()), dfa.next[i]);
  return search.run();
}

bool all_moves_within(const Dfa& dfa, const ByteClassSet& classes) {
  for (std::size_t i = 0; i < dfa.next.size(); ++i)
    if (dfa.next[i] != Dfa::dead && classes[i % classes.size()] == 0) return false;
  return true;
}

/// Where the state's tokens lead, each once; nothing when one of them leads to a live state.
std::optional<std::vector<std::int32_t>> targets_unless_live(const Dfa& dfa, std::int32_t state,
                                                             const Vocabulary& vocabulary,
                                                             const std::vector<std::uint8_t>& live) {
  std::vector<std::int32_t> targets;
  bool reaches_live = false;
  walk_dfa(dfa, state, vocabulary, [&](std::span<const TokenId>, std::int32_t target) {
    targets.push_back(target);
    reaches_live = live[index(target)] != 0;
    return !reaches_live;
  });
  if (reaches_live) return std::nullopt;
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  return targets;
}

}  // namespace

/// Bytes give bounds from below and above; only the states in between need walks over all tokens. Those near acceptance
/// come last in the automaton and are decided first, so that most walks end at once.
std::vector<std::uint8_t> token_live_states(const Dfa& dfa, const Vocabulary& vocabulary) {
  const auto single = single_byte_classes(dfa, vocabulary.trie());
  if (all_moves_within(dfa, single)) return std::vector<std::uint8_t>(index(dfa.size()), 1);

  auto live = live_by_bytes(dfa, single);
  const auto possible = live_by_bytes(dfa, occurring_classes(dfa, vocabulary.trie()));
  std::vector<std::pair<std::int32_t, std::vector<std::int32_t>>> undecided;
  for (std::int32_t state = dfa.size() - 1; state >= 0; --state) {
    if (live[index(state)] != 0 || possible[index(state)] == 0) continue;
    auto targets = targets_unless_live(dfa, state, vocabulary, live);
    live[index(state)] = targets ? 0 : 1;
    if (targets) undecided.emplace_back(state, std::move(*targets));
  }
  BackwardSearch search(std::move(live));
  for (const auto& [state, targets] : undecided)
    for (const std::int32_t target : targets) search.add_edge(state, target);
  return search.run();
}

MaskPtr DfaMasks::allowed(std::int32_t state, const Vocabulary& vocabulary) {
  return cache_.get(vocabulary, static_cast<std::uint32_t>(state), [&] {
    TokenMask mask = empty_mask(vocabulary);
    if (state == Dfa::dead) return mask;
    const auto live = live_.get(vocabulary, [&] { return token_live_states(*dfa_, vocabulary); });
    walk_dfa(*dfa_, state, vocabulary, [&](std::span<const TokenId> tokens, std::int32_t target) {
      if ((*live)[index(target)] != 0)
        for (const TokenId token : tokens) mask.set(token);
      return true;
    });
    mask.end = dfa_->accepting[index(state)] != 0;
    return mask;
  });
}

}  // namespace shoal
