#include "potential/dfa_masks.hpp"

#include <algorithm>
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

/// [byte class] whether some token is a single byte of the class.
std::vector<std::uint8_t> single_byte_classes(const Dfa& dfa, const Vocabulary& vocabulary) {
  std::vector<std::uint8_t> covered(index(dfa.classes), 0);
  const auto& nodes = vocabulary.trie().nodes;
  for (std::uint32_t child = 1; child < nodes.size(); child = nodes[child].subtree_end)
    if (nodes[child].tokens_begin != nodes[child].tokens_end) covered[dfa.byte_class[nodes[child].byte]] = 1;
  return covered;
}

/// States that reach acceptance through tokens of a single byte; a first, cheap approximation from below.
std::vector<std::uint8_t> live_by_single_bytes(const Dfa& dfa, const std::vector<std::uint8_t>& covered) {
  BackwardSearch search(dfa.accepting);
  for (std::size_t i = 0; i < dfa.next.size(); ++i)
    if (dfa.next[i] != Dfa::dead && covered[i % covered.size()] != 0)
      search.add_edge(static_cast<std::int32_t>(i / covered.size()), dfa.next[i]);
  return search.run();
}

bool all_moves_covered(const Dfa& dfa, const std::vector<std::uint8_t>& covered) {
  for (std::size_t i = 0; i < dfa.next.size(); ++i)
    if (dfa.next[i] != Dfa::dead && covered[i % covered.size()] == 0) return false;
  return true;
}

}  // namespace

std::vector<std::uint8_t> token_live_states(const Dfa& dfa, const Vocabulary& vocabulary) {
  const auto covered = single_byte_classes(dfa, vocabulary);
  if (all_moves_covered(dfa, covered)) return std::vector<std::uint8_t>(index(dfa.size()), 1);

  const auto certain = live_by_single_bytes(dfa, covered);
  BackwardSearch search(certain);
  std::vector<std::int32_t> seen_from(index(dfa.size()), Dfa::dead);
  for (std::int32_t state = 0; state < dfa.size(); ++state) {
    if (certain[index(state)] != 0) continue;
    walk_dfa(dfa, state, vocabulary, [&](std::span<const TokenId>, std::int32_t target) {
      if (std::exchange(seen_from[index(target)], state) != state) search.add_edge(state, target);
    });
  }
  return search.run();
}

MaskPtr DfaMasks::allowed(std::int32_t state, const Vocabulary& vocabulary) {
  return cache_.get(vocabulary, static_cast<std::uint32_t>(state), [&] {
    TokenMask mask = empty_mask(vocabulary);
    if (state == Dfa::dead) return mask;
    const auto live = live_.get(vocabulary, [&] { return token_live_states(*dfa_, vocabulary); });
    walk_dfa(*dfa_, state, vocabulary, [&](std::span<const TokenId> tokens, std::int32_t target) {
      if ((*live)[index(target)] == 0) return;
      for (const TokenId token : tokens) mask.set(token);
    });
    mask.end = dfa_->accepting[index(state)] != 0;
    return mask;
  });
}

}  // namespace shoal
