// What a model and its contexts take, known before they are there.
#include <gtest/gtest.h>

#include <numeric>

#include "fixtures.hpp"
#include "lm/available_memory.hpp"
#include "lm/context_memory.hpp"
#include "lm/model_summary.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

class Sizes : public testing::TestWithParam<std::tuple<const char*, DType>> {};

TEST_P(Sizes, AreThoseOfTheLoadedModel) {
  const auto [name, dtype] = GetParam();
  if (!can_run(dtype)) GTEST_SKIP() << "this processor cannot compute in this type";
  const Safetensors weights(fixture(name));
  const ModelSummary summary = summarize("id", fixture(name), load_config(fixture(name)), weights, dtype);
  const auto transformer = load(fixture(name), dtype);

  EXPECT_EQ(summary.parameters, transformer->parameters());
  EXPECT_EQ(summary.kv_bytes_per_token * 16, transformer->block_bytes());
  ASSERT_EQ(summary.parts.size(), 4U);
  const auto sum = [&](auto member) {
    return std::accumulate(summary.parts.begin(), summary.parts.end(), std::uint64_t{0},
                           [&](std::uint64_t all, const ModelPart& part) { return all + part.*member; });
  };
  EXPECT_EQ(sum(&ModelPart::parameters), summary.parameters);
  EXPECT_EQ(sum(&ModelPart::bytes), summary.weight_bytes);
  // Packed matrices are padded to whole tiles, which weighs in models as small as these; vectors are not packed.
  EXPECT_GE(static_cast<double>(transformer->weight_bytes()), 0.8 * static_cast<double>(summary.weight_bytes));
  EXPECT_LE(static_cast<double>(transformer->weight_bytes()), 2.0 * static_cast<double>(summary.weight_bytes));
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Sizes,
                         testing::Combine(testing::ValuesIn(checkpoints),
                                          testing::Values(DType::f32, DType::bf16, DType::int8)),
                         [](const auto& i) { return std::get<0>(i.param) + name_of(std::get<1>(i.param)); });

TEST(ContextMemory, CountsThePromptOnceAndTwoSpareBlocksForEachContext) {
  const ContextMemory memory{.block_bytes = 1000, .logits_row_bytes = 4};
  // 32 prompt tokens: 3 blocks. A context: 20 new tokens in 3 blocks, 52 token ids of 4 bytes, its row of logits.
  EXPECT_EQ(memory.needed(32, {5, 20}), 3 * 1000 + 5 * (3 * 1000 + 52 * 4 + 4));
}

TEST(ContextMemory, FindsTheMostThatFits) {
  const ContextMemory memory{.block_bytes = 24 * 2 * 2 * 1024 * 16, .logits_row_bytes = 151936 * 4};
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1} << 20U, std::uint64_t{1} << 28U,
                                    std::uint64_t{1} << 34U, std::uint64_t{1} << 40U})
    for (const int amount : {1, 17, 1000}) {
      const auto contexts = static_cast<int>(memory.most_contexts(100, amount, bytes));
      if (contexts > 0) {
        EXPECT_LE(memory.needed(100, {contexts, amount}), bytes);
      }
      EXPECT_GT(memory.needed(100, {contexts + 1, amount}), bytes);
      const int tokens = memory.most_new_tokens(100, amount, bytes);
      if (tokens >= 0) {
        EXPECT_LE(memory.needed(100, {amount, tokens}), bytes);
      }
      EXPECT_GT(memory.needed(100, {amount, tokens + 1}), bytes);
    }
}

/// One process of four takes a fourth of what is free.
TEST(ContextMemory, IsSharedByTheProcessesOfANode) {
  const auto refusal = [](int processes) -> std::string {
    const auto model = load_model("minnow", {.node = {.processes = processes}});
    const std::uint64_t free = available_memory();
    const int half = static_cast<int>(contexts_that_fit(model->summary(), 1000, free / 2));
    try {
      (void)model->open(std::vector{TokenId{5}}, {half, 1000});
    } catch (const UsageError& e) {
      return e.what();
    }
    return "fits";
  };

  EXPECT_EQ(refusal(1), "fits");
  const std::string line = refusal(4);
  EXPECT_NE(line.find("for each of the node's 4 ranks"), std::string::npos) << line;
  EXPECT_NE(line.find("use at most"), std::string::npos) << line;
  EXPECT_NE(line.find("or --max-tokens"), std::string::npos) << line;
}

TEST(WeightMemory, AModelThatDoesNotFitIsRefusedBeforeItIsPacked) {
  const auto refusal = [](const NodeShare& node) -> std::string {
    try {
      (void)load_model("minnow", {.dtype = DType::f32, .node = node});
    } catch (const ModelError& e) {
      return e.what();
    }
    return "fits";
  };
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;

  EXPECT_EQ(refusal({.free_memory = 20 * mebibyte}), "fits");
  const std::string line = refusal({.free_memory = 10 * mebibyte});
  EXPECT_NE(line.find("17 MiB in f32; 10 MiB are free"), std::string::npos) << line;
  EXPECT_NE(refusal({.processes = 2, .free_memory = 20 * mebibyte}).find("for each of 2 ranks"), std::string::npos);
}

}  // namespace
}  // namespace shoal::lm
