// The context tree's bookkeeping.
#include "lm/transformer_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "fixtures.hpp"
#include "hash_transformer.hpp"
#include "lm/context_memory.hpp"

namespace shoal::lm {
namespace {

std::vector<TokenId> prompt_of(int size) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < size; ++i) tokens.emplace_back(100 + i);
  return tokens;
}

float logit_of(TransformerTree* tree, ContextId context) {
  float logit = 0.0F;
  tree->forward({&context, 1}, {&logit, 1});
  return logit;
}

TEST(TransformerTree, ExtendComputesNothingAndTakesNoBlock) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(20));
  ASSERT_EQ(tree.live_blocks(), 2U);
  const std::size_t before = transformer.rows_computed;

  (void)tree.extend(tree.root(), TokenId{1});

  EXPECT_EQ(transformer.rows_computed, before);
  EXPECT_EQ(tree.live_blocks(), 2U);
  EXPECT_EQ(tree.live_contexts(), 2U);
}

TEST(TransformerTree, SiblingsShareFullBlocksAndOnlyOneCopiesTheTail) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(20));
  const std::vector<ContextId> siblings = {tree.extend(tree.root(), TokenId{1}), tree.extend(tree.root(), TokenId{2}),
                                           tree.extend(tree.root(), TokenId{3})};
  std::vector<float> logits(3);

  tree.forward(siblings, logits);

  EXPECT_EQ(tree.live_blocks(), 2U + 2U);
  for (int i = 0; i < 3; ++i) {
    auto tokens = prompt_of(20);
    tokens.emplace_back(i + 1);
    EXPECT_EQ(logits[static_cast<std::size_t>(i)], HashTransformer::logit_of(tokens));
  }
  EXPECT_EQ(logit_of(&tree, tree.root()), HashTransformer::logit_of(prompt_of(20)));
}

TEST(TransformerTree, ChildrenOfAFullBlockCopyNothing) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(32));
  const std::vector<ContextId> siblings = {tree.extend(tree.root(), TokenId{1}), tree.extend(tree.root(), TokenId{2})};
  std::vector<float> logits(2);

  tree.forward(siblings, logits);

  EXPECT_EQ(tree.live_blocks(), 2U + 2U);
}

TEST(TransformerTree, AKnownContextCostsOneRowAndAChainOfNewOnesOneRowEach) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(5));
  ContextId at = tree.root();
  for (int i = 0; i < 30; ++i) at = tree.extend(at, TokenId{i});
  std::size_t before = transformer.rows_computed;

  (void)logit_of(&tree, at);
  EXPECT_EQ(transformer.rows_computed - before, 30U);

  before = transformer.rows_computed;
  (void)logit_of(&tree, at);
  EXPECT_EQ(transformer.rows_computed - before, 1U);
}

TEST(TransformerTree, AParentAndItsChildMayBeComputedTogether) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(15));
  const ContextId parent = tree.extend(tree.root(), TokenId{1});
  const ContextId child = tree.extend(parent, TokenId{2});
  auto tokens = prompt_of(15);
  tokens.emplace_back(1);
  const float parent_logit = HashTransformer::logit_of(tokens);
  tokens.emplace_back(2);
  const float child_logit = HashTransformer::logit_of(tokens);
  std::vector<float> logits(2);

  tree.forward(std::vector{child, parent}, logits);
  EXPECT_EQ(logits, (std::vector{child_logit, parent_logit}));

  tree.forward(std::vector{parent, child}, logits);
  EXPECT_EQ(logits, (std::vector{parent_logit, child_logit}));
}

TEST(TransformerTree, AnUnpackedContextNeedsNoPrefill) {
  const HashTransformer transformer;
  TransformerTree from(transformer, prompt_of(20)), to(transformer, prompt_of(20));
  ContextId context = from.root();
  for (int i = 0; i < 40; ++i) context = from.extend(context, TokenId{i});
  const float expected = logit_of(&from, context);
  std::vector<TokenId> tokens;
  for (int i = 0; i < 40; ++i) tokens.emplace_back(i);
  const ContextId arrived = bring(&to, from, context, tokens);
  const std::size_t before = transformer.rows_computed;

  EXPECT_EQ(logit_of(&to, arrived), expected);
  EXPECT_EQ(transformer.rows_computed - before, 1U);
  EXPECT_EQ(to.live_blocks(), 2U + 3U);  // the prompt's full block is shared
  to.release(arrived);
  EXPECT_EQ(to.live_blocks(), 2U);
}

TEST(TransformerTree, OnlyOneOfAnUnpackedContextsChildrenCopiesItsTail) {
  const HashTransformer transformer;
  TransformerTree from(transformer, prompt_of(20)), to(transformer, prompt_of(20));
  const ContextId sent = from.extend(from.root(), TokenId{1});
  (void)logit_of(&from, sent);
  const ContextId arrived = bring(&to, from, sent, std::vector{TokenId{1}});
  const std::size_t before = to.live_blocks();
  const std::vector<ContextId> children = {to.extend(arrived, TokenId{2}), to.extend(arrived, TokenId{3})};
  std::vector<float> logits(2);

  to.forward(children, logits);

  EXPECT_EQ(to.live_blocks(), before + 1);
}

TEST(TransformerTree, AKnownContextIsNotSent) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(3));
  const ContextId context = tree.extend(tree.root(), TokenId{1});
  const std::vector tokens{TokenId{1}};

  EXPECT_EQ(tree.insert(tokens), context);
  EXPECT_EQ(tree.insert({}), tree.root());
  const ExpectedContext expected = tree.expect(tokens, 3);
  EXPECT_EQ(expected.context, context);
  EXPECT_EQ(expected.bytes, 0U);
  EXPECT_EQ(tree.live_contexts(), 2U);
}

/// @p size tokens that begin with @p common ones which all share, then differ by @p branch.
std::vector<TokenId> branch_of(int size, int common, int branch) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < size; ++i) tokens.emplace_back(i < common ? i : 1000 * branch + i);
  return tokens;
}

TEST(TransformerTree, OnlyBlocksThatTheReceiverLacksAreAskedFor) {
  const HashTransformer transformer;
  TransformerTree from(transformer, prompt_of(20)), to(transformer, prompt_of(20));
  const auto here = branch_of(60, 40, 1), there = branch_of(60, 40, 2), sibling = branch_of(60, 50, 2);
  const ContextId known = to.insert(here);
  (void)logit_of(&to, known);  // 80 positions in 5 blocks, of which 60 in common: 3 whole blocks
  const ContextId first = from.insert(there), second = from.insert(sibling);
  const float expected_first = logit_of(&from, first), expected_second = logit_of(&from, second);

  const ExpectedContext arriving = to.expect(there, from.computed(first));
  EXPECT_EQ(arriving.first_block, 3U);
  EXPECT_EQ(arriving.bytes, 2 * transformer.block_bytes());
  const ExpectedContext nothing_new = to.expect(there, from.computed(first));
  EXPECT_EQ(nothing_new.context, arriving.context);
  EXPECT_EQ(nothing_new.bytes, 0U);
  // 50 tokens as the known branch has 40 of and none has the rest of.
  const ExpectedContext relative = to.expect(sibling, from.computed(second));
  EXPECT_EQ(relative.first_block, 3U);

  to.unpack(relative, from.pack(second, relative.first_block, from.computed(second)));
  to.unpack(arriving, from.pack(first, arriving.first_block, from.computed(first)));
  const std::size_t before = transformer.rows_computed;
  EXPECT_EQ(logit_of(&to, arriving.context), expected_first);
  EXPECT_EQ(logit_of(&to, relative.context), expected_second);
  EXPECT_EQ(transformer.rows_computed - before, 2U);
}

TEST(TransformerTree, ContextsThatArriveTogetherShareTheirBlocks) {
  const HashTransformer transformer;
  TransformerTree from(transformer, prompt_of(16)), to(transformer, prompt_of(16));
  const auto one = branch_of(48, 34, 1), other = branch_of(48, 34, 2);
  const ContextId first = from.insert(one), second = from.insert(other);
  const float expected_first = logit_of(&from, first), expected_second = logit_of(&from, second);

  const ExpectedContext a = to.expect(one, 64);
  const ExpectedContext b = to.expect(other, 64);
  EXPECT_EQ(a.bytes, 3 * transformer.block_bytes());
  EXPECT_EQ(b.first_block, 3U);  // the prompt's block and two that a brings
  EXPECT_EQ(b.bytes, transformer.block_bytes());
  to.unpack(b, from.pack(second, b.first_block, 64));
  to.unpack(a, from.pack(first, a.first_block, 64));
  EXPECT_EQ(logit_of(&to, a.context), expected_first);
  EXPECT_EQ(logit_of(&to, b.context), expected_second);
}

TEST(TransformerTree, AnInsertedContextIsComputedFromWhereItPartsWithTheOthers) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(20));
  (void)logit_of(&tree, tree.insert(branch_of(30, 25, 1)));
  const std::size_t before = transformer.rows_computed;

  EXPECT_EQ(logit_of(&tree, tree.insert(branch_of(30, 25, 2))), HashTransformer::logit_of([] {
              auto tokens = prompt_of(20);
              for (const TokenId token : branch_of(30, 25, 2)) tokens.push_back(token);
              return tokens;
            }()));
  EXPECT_EQ(transformer.rows_computed - before, 5U);
}

/// Blocks that hold a window, those that are released together with the last one before it, and the one begun.
constexpr std::size_t blocks_of_window(int window) {
  return static_cast<std::size_t>((window + 256) / block_positions) + 2;
}

TEST(TransformerTree, BlocksThatTheWindowHasPassedAreReleased) {
  for (const int window : {1, 16, 100, 300}) {
    const HashTransformer transformer(window);
    TransformerTree tree(transformer, prompt_of(20));
    auto tokens = prompt_of(20);
    ContextId at = tree.root();
    tree.retain(at);
    for (int i = 0; i < 3000; ++i) {
      const ContextId next = tree.extend(at, TokenId{i});
      tree.release(at);
      at = next;
      tokens.emplace_back(i);
      if (i % 7 != 0) continue;  // several at once
      ASSERT_EQ(logit_of(&tree, at), transformer.logit_in_window(tokens)) << window << ", " << i;
      ASSERT_LE(tree.live_blocks(), 2 + blocks_of_window(window));
    }
    tree.release(at);
    EXPECT_EQ(tree.live_blocks(), 2U);
  }
}

TEST(TransformerTree, ALongPromptKeepsOnlyItsWindow) {
  const HashTransformer transformer(100);
  TransformerTree tree(transformer, prompt_of(2000));

  EXPECT_LE(tree.live_blocks(), blocks_of_window(100));
  EXPECT_EQ(logit_of(&tree, tree.root()), transformer.logit_in_window(prompt_of(2000)));
}

/// @p size tokens of which the first are a prompt of prompt_of(@p prompt).
std::vector<TokenId> with_prompt(int prompt, std::span<const TokenId> rest) {
  auto tokens = prompt_of(prompt);
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  return tokens;
}

TEST(TransformerTree, OnlyTheWindowIsSent) {
  const HashTransformer transformer(100);
  TransformerTree from(transformer, prompt_of(20)), to(transformer, prompt_of(20));
  const auto longer = branch_of(1500, 1200, 1), sibling = branch_of(1480, 1200, 2);
  const ContextId first = from.insert(longer), second = from.insert(sibling);
  (void)logit_of(&from, first);
  (void)logit_of(&from, second);

  const ExpectedContext arriving = to.expect(longer, from.computed(first));
  EXPECT_LE(arriving.bytes, blocks_of_window(100) * transformer.block_bytes());
  to.unpack(arriving, from.pack(first, arriving.first_block, from.computed(first)));
  EXPECT_EQ(logit_of(&to, arriving.context), transformer.logit_in_window(with_prompt(20, longer)));
  const ContextId other = bring(&to, from, second, sibling);
  const std::size_t before = transformer.rows_computed;
  EXPECT_EQ(logit_of(&to, other), transformer.logit_in_window(with_prompt(20, sibling)));
  EXPECT_EQ(transformer.rows_computed - before, 1U);

  to.release(arriving.context);
  to.release(other);
  EXPECT_EQ(to.live_blocks(), 2U);
}

TEST(TransformerTree, WhatALongerContextHasReleasedIsComputedAgain) {
  const HashTransformer transformer(100);
  TransformerTree tree(transformer, prompt_of(20));
  const auto longer = branch_of(1500, 1500, 1);
  (void)logit_of(&tree, tree.insert(longer));
  for (const std::size_t size : {1450U, 700U, 90U}) {
    const auto shorter = std::span(longer).first(size);
    EXPECT_EQ(logit_of(&tree, tree.insert(shorter)), transformer.logit_in_window(with_prompt(20, shorter))) << size;
  }
}

/// A tree beside a map of what it should hold.
class Twin {
 public:
  Twin(const HashTransformer& transformer, const std::vector<TokenId>& prompt, std::mt19937_64* generator)
      : transformer_(transformer),
        generator_(*generator),
        tree_(transformer, prompt),
        prompt_blocks_(tree_.live_blocks()) {
    live_[tree_.root().value()] = {prompt, 0};
  }

  void extend() {
    const auto [id, known] = *any();
    const TokenId token{static_cast<int>(generator_() % 4)};
    auto tokens = known.tokens;
    tokens.push_back(token);
    note(tree_.extend(ContextId{id}, token), tokens);
  }
  /// Some context's beginning and new tokens after it, as it would be taken up again after a halt.
  void rebuild() {
    auto tokens = any()->second.tokens;
    const std::size_t prompt = live_[tree_.root().value()].tokens.size();
    tokens.resize(prompt + generator_() % (tokens.size() - prompt + 1));
    for (auto left = generator_() % (generator_() % 4 == 0 ? 1500 : 20); left > 0; --left)
      tokens.emplace_back(static_cast<int>(generator_() % 4));
    note(tree_.insert(std::span(tokens).subspan(prompt)), tokens);
  }
  void retain() {
    const auto chosen = any();
    tree_.retain(ContextId{chosen->first});
    ++chosen->second.references;
  }
  void release() {
    const auto chosen = any();
    if (chosen->second.references == 0) return;  // the root, which the tree holds
    release(chosen);
  }
  void forward() {
    std::vector<ContextId> contexts;
    std::vector<float> expected;
    for (const auto& [id, known] : live_) {
      if (generator_() % 3 == 0) continue;
      contexts.emplace_back(id);
    }
    std::shuffle(contexts.begin(), contexts.end(), generator_);
    for (const ContextId id : contexts) expected.push_back(transformer_.expected_logit(live_[id.value()].tokens));
    std::vector<float> logits(contexts.size());
    tree_.forward(contexts, logits);
    ASSERT_EQ(logits, expected);
  }
  void send(Twin* to) {
    const auto [id, known] = *any();
    const std::size_t prompt_size = live_[tree_.root().value()].tokens.size();
    to->note(bring(&to->tree_, tree_, ContextId{id}, std::span(known.tokens).subspan(prompt_size)), known.tokens);
  }
  void release_all() {
    while (true) {
      const auto held = std::find_if(live_.begin(), live_.end(), [](auto& one) { return one.second.references > 0; });
      if (held == live_.end()) return;
      release(held);
    }
  }
  void check_size() const { ASSERT_EQ(tree_.live_contexts(), live_.size()); }
  void check_empty() const {
    EXPECT_EQ(tree_.live_contexts(), 1U);
    EXPECT_EQ(tree_.live_blocks(), prompt_blocks_);
  }
  [[nodiscard]] std::size_t size() const { return live_.size(); }
  /// What may be held, of contexts like those that live.
  [[nodiscard]] std::uint64_t most_blocks(int window) const {
    const std::size_t prompt = live_.at(tree_.root().value()).tokens.size();
    std::size_t longest = 0;
    for (const auto& [id, known] : live_) longest = std::max(longest, known.tokens.size() - prompt);
    return ContextMemory{.window = static_cast<std::uint64_t>(window)}.blocks(
        prompt, {.contexts = static_cast<int>(live_.size()), .new_tokens = static_cast<int>(longest)});
  }
  [[nodiscard]] std::size_t live_blocks() const { return tree_.live_blocks(); }

 private:
  struct Known {
    std::vector<TokenId> tokens;
    int references = 0;  ///< of ours
  };
  using Live = std::map<std::uint32_t, Known>;

  Live::iterator any() { return std::next(live_.begin(), static_cast<int>(generator_() % live_.size())); }
  void note(ContextId id, const std::vector<TokenId>& tokens) {
    const auto twin = std::find_if(live_.begin(), live_.end(), [&](auto& one) { return one.second.tokens == tokens; });
    if (twin != live_.end()) {
      ASSERT_EQ(id.value(), twin->first);
      ++twin->second.references;
    } else {
      ASSERT_FALSE(live_.contains(id.value()));
      live_[id.value()] = {tokens, 1};
    }
  }
  void release(Live::iterator chosen) {
    tree_.release(ContextId{chosen->first});
    if (--chosen->second.references == 0 && chosen->first != tree_.root().value()) live_.erase(chosen);
  }

  const HashTransformer& transformer_;
  std::mt19937_64& generator_;
  TransformerTree tree_;
  std::size_t prompt_blocks_;
  Live live_;
};

TEST(TransformerTree, BehavesLikeAMapOfSequencesUnderRandomUse) {
  const HashTransformer transformer;
  for (int seed = 0; seed < 60; ++seed) {
    std::mt19937_64 generator(static_cast<std::uint64_t>(seed));
    const auto prompt = prompt_of(1 + seed % 35);
    Twin here(transformer, prompt, &generator), there(transformer, prompt, &generator);
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t kind = generator() % 16;
      const bool full = here.size() > 40;
      if (kind < 6 && !full) here.extend();
      if (kind == 6) here.retain();
      if (kind == 7 || kind == 8 || full) here.release();
      if (kind == 9 || kind == 10) here.forward();
      if (kind == 11) there.forward();
      if (kind == 12) here.send(&there);
      if (kind == 13) there.send(&here);
      if (kind == 14) there.extend();
      if (kind == 15) there.release();
      here.check_size();
      there.check_size();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed << ", step " << step;
    }
    here.release_all();
    there.release_all();
    here.check_empty();
    there.check_empty();
  }
}

/// Between passes and in them; and the bound is no idle one: it is met within a few blocks for each context.
TEST(TransformerTree, HoldsNoMoreBlocksThanAreReckonedWith) {
  double closest = 0.0;
  for (int seed = 0; seed < 40; ++seed) {
    const int window = std::array{0, 1, 16, 100, 300}[static_cast<std::size_t>(seed % 5)];
    const HashTransformer transformer(window);
    std::mt19937_64 generator(static_cast<std::uint64_t>(seed));
    const auto prompt = prompt_of(1 + static_cast<int>(generator() % (seed % 2 == 0 ? 40 : 900)));
    const std::size_t limit = seed % 3 == 0 ? 12 : 3;
    Twin here(transformer, prompt, &generator), there(transformer, prompt, &generator);
    for (int step = 0; step < 200; ++step) {
      transformer.most_live_blocks = 0;
      Twin& one = generator() % 4 == 0 ? there : here;
      Twin& other = &one == &here ? there : here;
      const std::uint64_t kind = generator() % 8;
      if (kind < 2) one.extend();
      if (kind == 2) one.rebuild();
      if (kind == 3) one.send(&other);
      if (kind == 4 || one.size() > limit) one.release();
      if (kind > 4) one.forward();
      ASSERT_LE(transformer.most_live_blocks, one.most_blocks(window)) << seed << ", " << step;
      for (const Twin* twin : {&here, &there}) {
        ASSERT_LE(twin->live_blocks(), twin->most_blocks(window)) << seed << ", " << step;
        closest = std::max(closest,
                           static_cast<double>(twin->live_blocks()) / static_cast<double>(twin->most_blocks(window)));
      }
      ASSERT_FALSE(testing::Test::HasFatalFailure());
    }
  }
  EXPECT_GT(closest, 0.6);
}

TEST(TransformerTree, ALongWayIsComputedInPiecesThatReleaseWhatTheWindowHasPassed) {
  for (const int window : {1, 100, 300}) {
    const HashTransformer transformer(window);
    const ContextMemory memory{.window = static_cast<std::uint64_t>(window)};
    TransformerTree tree(transformer, prompt_of(3000));
    EXPECT_LE(transformer.most_live_blocks, memory.blocks(3000, {0, 0}));

    const auto first = branch_of(2500, 1, 1), second = branch_of(2500, 1, 2);
    const std::array contexts{tree.insert(first), tree.insert(second)};
    std::array<float, 2> logits{};
    tree.forward(contexts, logits);

    EXPECT_EQ(logits[0], transformer.logit_in_window(with_prompt(3000, first)));
    EXPECT_EQ(logits[1], transformer.logit_in_window(with_prompt(3000, second)));
    EXPECT_LE(transformer.most_live_blocks, memory.blocks(3000, {2, 2500}));
    EXPECT_LT(memory.blocks(3000, {2, 2500}), (3000U + 2 * 2500U) / block_positions / 4);
  }
}

}  // namespace
}  // namespace shoal::lm
