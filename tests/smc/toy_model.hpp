// A language model small enough to enumerate: next-token probabilities are any function of the tokens so far.
// Its context tree counts references, so that a test sees a leak or a use after release.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shoal/language_model.hpp"

namespace shoal::test {

/// Probabilities (need not sum to 1) of every token of the vocabulary after the given tokens.
using NextToken = std::function<std::vector<double>(std::span<const TokenId>)>;

class ToyTree final : public ContextTree {
 public:
  ToyTree(const Vocabulary& vocabulary, NextToken next) : vocabulary_(vocabulary), next_(std::move(next)) {
    nodes_[0] = {{}, 1};
  }
  ~ToyTree() override { EXPECT_EQ(nodes_.size(), 1U) << "contexts leaked"; }

  [[nodiscard]] ContextId root() const override { return ContextId{0}; }
  ContextId extend(ContextId parent, TokenId token) override {
    std::vector<TokenId> tokens = usable(parent).tokens;
    tokens.push_back(token);
    return add(std::move(tokens));
  }
  void retain(ContextId context) override { ++at(context).references; }
  void release(ContextId context) override {
    Node& node = at(context);
    if (--node.references > 0) return;
    by_tokens_.erase(node.tokens);
    nodes_.erase(context.value());
  }
  void forward(std::span<const ContextId> contexts, std::span<float> logits) override {
    const auto size = static_cast<std::size_t>(vocabulary_.size());
    for (std::size_t row = 0; row < contexts.size(); ++row) {
      for (std::size_t before = 0; before < row; ++before) EXPECT_NE(contexts[before], contexts[row]);
      const std::vector<double> p = next_(usable(contexts[row]).tokens);
      for (std::size_t v = 0; v < size; ++v) logits[row * size + v] = static_cast<float>(std::log(p[v]));
    }
  }
  ContextId insert(std::span<const TokenId> tokens) override { return add({tokens.begin(), tokens.end()}); }
  /// The data of a context are its tokens, two to a block.
  [[nodiscard]] std::uint32_t computed(ContextId context) const override {
    return static_cast<std::uint32_t>(nodes_.at(context.value()).tokens.size());
  }
  ExpectedContext expect(std::span<const TokenId> tokens, std::uint32_t computed) override {
    EXPECT_EQ(computed, tokens.size());
    const auto shared = static_cast<std::uint32_t>(longest_shared(tokens));
    const std::uint32_t first_block = shared / block_size;
    const bool is_new = !tokens.empty() && !by_tokens_.contains({tokens.begin(), tokens.end()});
    const ContextId context = insert(tokens);
    if (!is_new || shared == computed) return {.context = context};
    at(context).filled = false;
    return {context, first_block, (computed - first_block * block_size) * sizeof(TokenId)};
  }
  [[nodiscard]] std::string pack(ContextId context, std::uint32_t first_block, std::uint32_t computed) const override {
    const auto& tokens = nodes_.at(context.value()).tokens;
    return {reinterpret_cast<const char*>(tokens.data() + first_block * block_size),
            reinterpret_cast<const char*>(tokens.data() + computed)};
  }
  void unpack(const ExpectedContext& expected, std::string_view packed) override {
    Node& node = at(expected.context);
    if (expected.bytes == 0) return;
    EXPECT_TRUE(packed == pack(expected.context, expected.first_block, computed(expected.context)));
    node.filled = true;
  }
  [[nodiscard]] std::size_t live_contexts() const override { return nodes_.size(); }
  [[nodiscard]] std::size_t live_blocks() const override { return 0; }

 private:
  struct Node {
    std::vector<TokenId> tokens;
    int references = 0;
    bool filled = true;
  };
  Node& at(ContextId id) {
    const auto found = nodes_.find(id.value());
    if (found == nodes_.end()) throw std::logic_error("context used after its release");
    return found->second;
  }
  Node& usable(ContextId id) {
    Node& node = at(id);
    EXPECT_TRUE(node.filled) << "context used before its data came";
    return node;
  }
  [[nodiscard]] std::size_t longest_shared(std::span<const TokenId> tokens) const {
    std::size_t longest = 0;
    for (const auto& [id, node] : nodes_) {
      const auto end = node.tokens.begin() + static_cast<std::ptrdiff_t>(std::min(node.tokens.size(), tokens.size()));
      const auto parting = std::mismatch(node.tokens.begin(), end, tokens.begin()).first;
      longest = std::max(longest, static_cast<std::size_t>(parting - node.tokens.begin()));
    }
    return longest;
  }
  ContextId add(std::vector<TokenId> tokens) {
    if (tokens.empty()) {
      retain(root());
      return root();
    }
    const auto [found, is_new] = by_tokens_.try_emplace(tokens, next_id_);
    if (is_new) nodes_[next_id_++] = {std::move(tokens), 0};
    ++nodes_[found->second].references;
    return ContextId{found->second};
  }

  static constexpr std::uint32_t block_size = 2;

  const Vocabulary& vocabulary_;
  NextToken next_;
  std::map<std::uint32_t, Node> nodes_;
  std::map<std::vector<TokenId>, std::uint32_t> by_tokens_;
  std::uint32_t next_id_ = 1;
};

class ToyModel final : public LanguageModel {
 public:
  ToyModel(std::vector<std::string> bytes, std::vector<TokenId> end, NextToken next)
      : vocabulary_(std::move(bytes), std::move(end)), next_(std::move(next)) {
    summary_.vocabulary_size = vocabulary_.size();
  }

  [[nodiscard]] const ModelSummary& summary() const override { return summary_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return vocabulary_; }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view, SpecialTokens) const override { return {}; }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override {
    std::string text;
    for (const TokenId id : ids) text += vocabulary_.bytes(id);
    return text;
  }
  [[nodiscard]] std::string piece(TokenId id) const override { return std::string(vocabulary_.bytes(id)); }
  [[nodiscard]] bool has_chat_template() const override { return false; }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage>) const override { return {}; }
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId>, ContextLimits) const override {
    return std::make_unique<ToyTree>(vocabulary_, next_);
  }
  [[nodiscard]] std::vector<double> score(std::span<const TokenId>) const override { return {}; }
  [[nodiscard]] std::vector<double> next(std::span<const TokenId> tokens) const { return next_(tokens); }

 private:
  Vocabulary vocabulary_;
  NextToken next_;
  ModelSummary summary_;
};

inline TokenId token(int id) { return TokenId{id}; }

/// Letters a, b, c and an end of sequence (id 3), with probabilities that depend on the last letter and the length, and
/// without ties that would leave it to rounding what top-k keeps.
inline ToyModel letters_model() {
  return ToyModel({"a", "b", "c", ""}, {token(3)}, [](std::span<const TokenId> tokens) -> std::vector<double> {
    static const double after[4][3] = {{.5, .3, .2}, {.1, .6, .3}, {.27, .23, .5}, {.4, .2, .4}};
    const double* row = tokens.empty() ? after[3] : after[tokens.back().value()];
    const double end = tokens.empty() ? 0.05 : 0.15 + 0.05 * static_cast<double>(tokens.size() % 3);
    return {row[0] * (1 - end), row[1] * (1 - end), row[2] * (1 - end), end};
  });
}

}  // namespace shoal::test
