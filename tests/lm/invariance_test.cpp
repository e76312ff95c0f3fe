// A context's logits have the same bits however it is computed: alone or among others, at once or token by token, by
// any number of threads, here or on the rank that it came from.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/parallel.hpp"
#include "fixtures.hpp"

namespace shoal::lm {
namespace {

using Row = std::vector<float>;

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Of products, and of keys and values.
using Types = std::pair<DType, KvDType>;

/// A checkpoint and 300 contexts, each computed as the end of a prompt, the only one of its tree.
struct Case {
  static constexpr std::size_t prompt_size = 21;

  Case(const char* name, Types types) : transformer(load(fixture(name), types.first, types.second)) {
    prompt = random_tokens(prompt_size, vocabulary_size, 1);
    for (std::uint64_t i = 0; suffixes.size() < 300; ++i) {
      auto suffix = random_tokens(1 + i % 40, vocabulary_size, 100 + i / 3);  // threes begin alike
      if (std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end()) continue;
      expected.push_back(alone(suffix));
      suffixes.push_back(std::move(suffix));
    }
  }
  Row alone(const std::vector<TokenId>& suffix) const {
    std::vector<TokenId> tokens = prompt;
    tokens.insert(tokens.end(), suffix.begin(), suffix.end());
    TransformerTree tree(*transformer, tokens);
    return logits_of(&tree, {tree.root()}, vocabulary_size);
  }

  std::unique_ptr<Transformer> transformer;
  int vocabulary_size = transformer->config().vocabulary_size;
  std::vector<TokenId> prompt;
  std::vector<std::vector<TokenId>> suffixes;  ///< all distinct
  std::vector<Row> expected;
};

class Invariance : public testing::TestWithParam<std::tuple<const char*, Types>> {
 protected:
  void SetUp() override {
    const auto [name, types] = GetParam();
    if (!can_run(types.first, types.second)) GTEST_SKIP() << "this processor cannot compute in this type";
    set_worker_threads(1);
    auto& known = cases()[{name, types}];
    if (!known) known = std::make_unique<const Case>(name, types);
    data = known.get();
  }
  void TearDown() override { set_worker_threads(1); }
  static void TearDownTestSuite() { cases().clear(); }

  [[nodiscard]] const Transformer& transformer() const { return *data->transformer; }
  [[nodiscard]] int vocabulary_size() const { return data->vocabulary_size; }
  [[nodiscard]] const std::vector<std::vector<TokenId>>& suffixes() const { return data->suffixes; }
  [[nodiscard]] const std::vector<Row>& expected() const { return data->expected; }
  [[nodiscard]] std::span<const float> row(const std::vector<float>& logits, std::size_t i) const {
    const auto width = static_cast<std::size_t>(vocabulary_size());
    return std::span(logits).subspan(i * width, width);
  }
  /// Contexts that differ from what they are alone.
  [[nodiscard]] std::size_t differences(const std::vector<float>& logits, std::size_t begin) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < logits.size() / static_cast<std::size_t>(vocabulary_size()); ++i)
      if (!same_bits(row(logits, i), expected()[begin + i])) ++count;
    return count;
  }
  std::vector<ContextId> contexts_of(TransformerTree* tree, std::size_t begin, std::size_t count) const {
    std::vector<ContextId> contexts;
    for (std::size_t i = begin; i < begin + count; ++i) contexts.push_back(descend(tree, suffixes()[i]));
    return contexts;
  }

  const Case* data = nullptr;

 private:
  using Cases = std::map<std::pair<std::string, Types>, std::unique_ptr<const Case>>;
  /// Computed once for all tests.
  static Cases& cases() {
    static Cases all;
    return all;
  }
};

TEST_P(Invariance, BatchesOfAnySizeByAnyNumberOfThreads) {
  for (const auto& [threads, count] : {std::pair{1, 1U}, {1, 7U}, {1, 100U}, {1, 300U}, {2, 7U}, {2, 300U}}) {
    set_worker_threads(threads);
    TransformerTree tree(transformer(), data->prompt);
    const auto contexts = contexts_of(&tree, 300 - count, count);

    EXPECT_EQ(differences(logits_of(&tree, contexts, vocabulary_size()), 300 - count), 0U)
        << count << " contexts, " << threads << " threads";
  }
}

TEST_P(Invariance, TokenByTokenAmongOthersThatFork) {
  TransformerTree tree(transformer(), data->prompt);
  std::vector<ContextId> contexts(300, tree.root());
  for (const ContextId context : contexts) tree.retain(context);
  for (std::size_t t = 0; t < 40; ++t) {
    std::vector<ContextId> distinct;
    std::vector<std::size_t> ended;
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      if (t >= suffixes()[i].size()) continue;
      const ContextId child = tree.extend(contexts[i], suffixes()[i][t]);
      tree.release(contexts[i]);
      contexts[i] = child;
      if (std::find(distinct.begin(), distinct.end(), child) == distinct.end()) distinct.push_back(child);
      if (t + 1 == suffixes()[i].size()) ended.push_back(i);
    }
    const auto logits = logits_of(&tree, distinct, vocabulary_size());
    for (const std::size_t i : ended) {
      const auto at = std::find(distinct.begin(), distinct.end(), contexts[i]) - distinct.begin();
      EXPECT_TRUE(same_bits(row(logits, static_cast<std::size_t>(at)), expected()[i])) << "context " << i;
    }
  }
}

TEST_P(Invariance, ComputedAgain) {
  TransformerTree tree(transformer(), data->prompt);
  const auto contexts = contexts_of(&tree, 0, 50);

  EXPECT_EQ(differences(logits_of(&tree, contexts, vocabulary_size()), 0), 0U);
  EXPECT_EQ(differences(logits_of(&tree, contexts, vocabulary_size()), 0), 0U);
  EXPECT_TRUE(same_bits(logits_of(&tree, {tree.root()}, vocabulary_size()), data->alone({})));
}

TEST_P(Invariance, MovedToAnotherTree) {
  TransformerTree from(transformer(), data->prompt), to(transformer(), data->prompt);
  const auto contexts = contexts_of(&from, 0, 60);
  (void)logits_of(&from, {contexts.begin(), contexts.begin() + 30}, vocabulary_size());  // the others travel uncomputed
  std::vector<ContextId> arrived;
  for (std::size_t i = 0; i < contexts.size(); ++i) arrived.push_back(bring(&to, from, contexts[i], suffixes()[i]));

  EXPECT_EQ(differences(logits_of(&to, arrived, vocabulary_size()), 0), 0U);
  EXPECT_EQ(differences(logits_of(&from, contexts, vocabulary_size()), 0), 0U);
}

TEST_P(Invariance, ComputedFromTokensInATreeThatKnowsSomeOfThem) {
  TransformerTree tree(transformer(), data->prompt);
  const auto contexts = contexts_of(&tree, 0, 60);
  (void)logits_of(&tree, {contexts.begin(), contexts.begin() + 30}, vocabulary_size());
  std::vector<ContextId> inserted;
  for (std::size_t i = 60; i < 120; ++i) inserted.push_back(tree.insert(suffixes()[i]));

  EXPECT_EQ(differences(logits_of(&tree, inserted, vocabulary_size()), 60), 0U);
  EXPECT_EQ(differences(logits_of(&tree, contexts, vocabulary_size()), 0), 0U);
}

TEST_P(Invariance, ChildrenOfAMovedContext) {
  TransformerTree from(transformer(), data->prompt), to(transformer(), data->prompt);
  const auto beginning = random_tokens(25, vocabulary_size(), 7);
  const ContextId parent = descend(&from, beginning);
  (void)logits_of(&from, {parent}, vocabulary_size());
  const ContextId moved = bring(&to, from, parent, beginning);
  std::vector<ContextId> children;
  for (int token = 0; token < 20; ++token) children.push_back(to.extend(moved, TokenId{token}));
  const auto logits = logits_of(&to, children, vocabulary_size());

  for (int token = 0; token < 20; ++token) {
    auto suffix = beginning;
    suffix.emplace_back(token);
    EXPECT_TRUE(same_bits(row(logits, static_cast<std::size_t>(token)), data->alone(suffix)));
  }
}

TEST_P(Invariance, APromptLongerThanAChunkOfRows) {
  const auto tokens = random_tokens(400, vocabulary_size(), 5);
  TransformerTree whole(transformer(), tokens), half(transformer(), std::span(tokens).first(170));

  const auto expected_row = logits_of(&whole, {whole.root()}, vocabulary_size());

  EXPECT_TRUE(
      same_bits(logits_of(&half, {descend(&half, std::span(tokens).subspan(170))}, vocabulary_size()), expected_row));
}

TEST_P(Invariance, ALongTextOfWhichAWindowMayHavePassedTheBeginning) {
  const auto length = static_cast<std::size_t>(std::min(450, transformer().config().max_position));
  const auto tokens = random_tokens(length, vocabulary_size(), 6);
  TransformerTree whole(transformer(), tokens), tree(transformer(), std::span(tokens).first(20));
  ContextId context = tree.root();
  for (std::size_t end = 20; end < tokens.size(); end += 43) {
    context = descend(&tree, std::span(tokens).subspan(20, std::min(end + 43, length) - 20));
    (void)logits_of(&tree, {context}, vocabulary_size());
  }

  EXPECT_TRUE(
      same_bits(logits_of(&tree, {context}, vocabulary_size()), logits_of(&whole, {whole.root()}, vocabulary_size())));
}

INSTANTIATE_TEST_SUITE_P(
    Checkpoints, Invariance,
    testing::Combine(testing::ValuesIn(checkpoints),
                     testing::Values(Types{DType::f32, KvDType::automatic}, Types{DType::bf16, KvDType::automatic},
                                     Types{DType::int8, KvDType::automatic}, Types{DType::f32, KvDType::int8},
                                     Types{DType::bf16, KvDType::int8})),
    [](const auto& i) {
      const Types types = std::get<1>(i.param);
      return std::get<0>(i.param) + name_of(types.first, types.second);
    });

/// The products' sums are integers, and nothing else depends on the instruction set.
TEST(EightBits, HaveTheSameLogitsOnEveryInstructionSet) {
  const auto tokens = random_tokens(50, 100, 7);
  std::vector<Row> rows;
  for (const Isa isa : all_isas) {
    if (isa < Isa::avx2 || isa > processor_isa()) continue;
    const ScopedIsa scoped(isa);
    const auto transformer = load(fixture("llama_grouped_f32"), DType::int8);
    TransformerTree tree(*transformer, tokens);
    rows.push_back(logits_of(&tree, {tree.root()}, transformer->config().vocabulary_size));
  }

  if (rows.size() < 2) GTEST_SKIP() << "this processor has fewer than two that compute in 8 bits";
  for (const Row& row : rows) EXPECT_TRUE(same_bits(row, rows.front()));
}

}  // namespace
}  // namespace shoal::lm
