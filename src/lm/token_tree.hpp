// TokenTree: reference-counted nodes of distinct token sequences with something kept for each. Equal sequences are one
// node: found by a hash of the whole sequence, confirmed by comparing it.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "shoal/ids.hpp"

namespace shoal::lm {

/// Of a sequence of known hash and one more token.
inline std::uint64_t hash_next(std::uint64_t hash, TokenId token) {
  std::uint64_t x = (hash ^ static_cast<std::uint32_t>(token.value())) * 0x9E3779B97F4A7C15ULL;
  x ^= x >> 32U;
  return x * 0xD6E8FEB86659FD93ULL;
}

template <class Payload, std::uint64_t (*next)(std::uint64_t, TokenId) = hash_next>
class TokenTree {
 public:
  struct Node {
    std::vector<TokenId> tokens;  ///< from the start of the prompt
    Payload payload;
    std::uint64_t hash = 0;
    std::uint32_t references = 0;
  };

  /// The live node of these tokens, with one more reference.
  std::optional<ContextId> find(const std::vector<TokenId>& tokens) { return find(tokens, hash_of(tokens)); }
  /// A new node with one reference; there must be none of these tokens.
  ContextId insert(std::vector<TokenId> tokens, Payload payload) {
    const std::uint64_t hash = hash_of(tokens);
    return insert(std::move(tokens), std::move(payload), hash);
  }
  /// The node of @p parent + @p token; @p make_payload(parent's node) is called if it is new.
  template <class MakePayload>
  ContextId extend(ContextId parent, TokenId token, const MakePayload& make_payload) {
    const Node& from = at(parent);
    const std::uint64_t hash = next(from.hash, token);
    std::vector<TokenId> tokens;
    tokens.reserve(from.tokens.size() + 1);
    tokens = from.tokens;
    tokens.push_back(token);
    if (const auto same = find(tokens, hash)) return *same;
    Payload payload = make_payload(from);
    return insert(std::move(tokens), std::move(payload), hash);
  }
  void retain(ContextId id) { ++at(id).references; }
  /// @return the node's payload if that was the last reference
  std::optional<Payload> release(ContextId id) {
    Node& node = at(id);
    if (--node.references > 0) return std::nullopt;
    const auto [begin, end] = by_hash_.equal_range(node.hash);
    for (auto i = begin; i != end; ++i) {
      if (i->second != id) continue;
      by_hash_.erase(i);
      break;
    }
    free_.push_back(id);
    return std::exchange(node, Node{}).payload;
  }

  Node& at(ContextId id) {
    SHOAL_EXPECT(nodes_[id.value()].references > 0);
    return nodes_[id.value()];
  }
  [[nodiscard]] const Node& at(ContextId id) const { return nodes_[id.value()]; }
  [[nodiscard]] std::size_t size() const { return by_hash_.size(); }
  /// Calls visit(node) for every live node.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const Node& node : nodes_)
      if (node.references > 0) visit(node);
  }

 private:
  static std::uint64_t hash_of(const std::vector<TokenId>& tokens) {
    std::uint64_t hash = 0x243F6A8885A308D3ULL;
    for (const TokenId token : tokens) hash = next(hash, token);
    return hash;
  }
  std::optional<ContextId> find(const std::vector<TokenId>& tokens, std::uint64_t hash) {
    const auto [begin, end] = by_hash_.equal_range(hash);
    for (auto i = begin; i != end; ++i) {
      if (at(i->second).tokens != tokens) continue;
      retain(i->second);
      return i->second;
    }
    return std::nullopt;
  }
  ContextId insert(std::vector<TokenId> tokens, Payload payload, std::uint64_t hash) {
    if (free_.empty()) {
      free_.emplace_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.emplace_back();
    }
    const ContextId id = free_.back();
    free_.pop_back();
    nodes_[id.value()] = {std::move(tokens), std::move(payload), hash, 1};
    by_hash_.emplace(hash, id);
    return id;
  }

  std::vector<Node> nodes_;
  std::vector<ContextId> free_;
  std::unordered_multimap<std::uint64_t, ContextId> by_hash_;
};

}  // namespace shoal::lm
