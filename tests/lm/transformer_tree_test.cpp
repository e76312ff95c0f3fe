// The context tree's bookkeeping, on a transformer whose keys and values are hashes of all tokens so far: one wrong
// slot in one block changes every logit after it.
#include "lm/transformer_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "lm/token_tree.hpp"

namespace shoal::lm {
namespace {

constexpr int block_positions = 16;

/// A block is 16 hashes, each of the tokens up to its position; the one logit is made of the last hash.
class HashTransformer final : public Transformer {
 public:
  HashTransformer() { config_.vocabulary_size = 1; }
  [[nodiscard]] const TransformerConfig& config() const override { return config_; }
  [[nodiscard]] DType dtype() const override { return DType::f32; }
  [[nodiscard]] std::uint64_t parameters() const override { return 0; }
  [[nodiscard]] std::uint64_t weight_bytes() const override { return 0; }
  [[nodiscard]] std::string device() const override { return "none"; }
  [[nodiscard]] std::size_t block_bytes() const override { return block_positions * sizeof(std::uint64_t); }
  [[nodiscard]] std::unique_ptr<BlockMemory> block_memory() const override {
    return std::make_unique<HostBlockMemory>();
  }
  [[nodiscard]] std::uint64_t free_block_bytes() const override { return 0; }

  void forward(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers*,
               std::span<float> logits) const override {
    std::size_t used = 0;
    for (const TokenRow& row : rows) {
      const std::uint64_t before = row.position == 0 ? 0 : *slot(pool, row, row.position - 1);
      *slot(pool, row, row.position) = hash_next(before, row.token);
      if (row.logits == Logits::yes) logits[used++] = logit(*slot(pool, row, row.position));
      ++rows_computed;
    }
    EXPECT_EQ(used, logits.size());
  }

  static float logit(std::uint64_t hash) { return static_cast<float>(hash >> 40U); }
  static float logit_of(std::span<const TokenId> tokens) {
    std::uint64_t hash = 0;
    for (const TokenId token : tokens) hash = hash_next(hash, token);
    return logit(hash);
  }
  mutable std::size_t rows_computed = 0;

 private:
  static std::uint64_t* slot(BlockPool* pool, const TokenRow& row, int position) {
    const BlockId block = row.table[static_cast<std::size_t>(position / block_positions)];
    return reinterpret_cast<std::uint64_t*>(pool->data(block)) + position % block_positions;
  }
  TransformerConfig config_;
};

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
  const ContextId arrived = to.unpack(from.pack(context));
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
  const ContextId arrived = to.unpack(from.pack(sent));
  const std::size_t before = to.live_blocks();
  const std::vector<ContextId> children = {to.extend(arrived, TokenId{2}), to.extend(arrived, TokenId{3})};
  std::vector<float> logits(2);

  to.forward(children, logits);

  EXPECT_EQ(to.live_blocks(), before + 1);
}

TEST(TransformerTree, UnpackingAKnownContextGivesItsNode) {
  const HashTransformer transformer;
  TransformerTree tree(transformer, prompt_of(3));
  const ContextId context = tree.extend(tree.root(), TokenId{1});

  EXPECT_EQ(tree.unpack(tree.pack(context)), context);
  EXPECT_EQ(tree.unpack(tree.pack(tree.root())), tree.root());
  EXPECT_EQ(tree.live_contexts(), 2U);
}

/// A tree beside a map of what it should hold.
class Twin {
 public:
  Twin(const Transformer& transformer, const std::vector<TokenId>& prompt, std::mt19937_64* generator)
      : generator_(*generator), tree_(transformer, prompt), prompt_blocks_(tree_.live_blocks()) {
    live_[tree_.root().value()] = {prompt, 0};
  }

  void extend() {
    const auto [id, known] = *any();
    const TokenId token{static_cast<int>(generator_() % 4)};
    auto tokens = known.tokens;
    tokens.push_back(token);
    note(tree_.extend(ContextId{id}, token), tokens);
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
    for (const ContextId id : contexts) expected.push_back(HashTransformer::logit_of(live_[id.value()].tokens));
    std::vector<float> logits(contexts.size());
    tree_.forward(contexts, logits);
    ASSERT_EQ(logits, expected);
  }
  void send(Twin* to) {
    const auto [id, known] = *any();
    to->note(to->tree_.unpack(tree_.pack(ContextId{id})), known.tokens);
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

}  // namespace
}  // namespace shoal::lm
