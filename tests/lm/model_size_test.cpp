// What a model and its contexts take, known before they are there.
#include <gtest/gtest.h>

#include <numeric>

#include "bad_folder.hpp"
#include "fixtures.hpp"
#include "lm/available_memory.hpp"
#include "lm/context_memory.hpp"
#include "lm/model_summary.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

class Sizes : public testing::TestWithParam<std::tuple<const char*, std::pair<DType, KvDType>>> {};

TEST_P(Sizes, AreThoseOfTheLoadedModel) {
  const auto [name, types] = GetParam();
  const auto [dtype, kv_dtype] = types;
  if (!can_run(dtype, kv_dtype)) GTEST_SKIP() << "this processor cannot compute in this type";
  const Safetensors weights(fixture(name));
  const ModelSummary summary = summarize("id", fixture(name), load_config(fixture(name)), weights, dtype, kv_dtype);
  const auto transformer = load(fixture(name), dtype, kv_dtype);

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
                                          testing::Values(std::pair(DType::f32, KvDType::automatic),
                                                          std::pair(DType::bf16, KvDType::automatic),
                                                          std::pair(DType::int8, KvDType::automatic),
                                                          std::pair(DType::bf16, KvDType::int8))),
                         [](const auto& i) {
                           const auto& types = std::get<1>(i.param);
                           return std::get<0>(i.param) + name_of(types.first, types.second);
                         });

TEST(Sizes, KeysAndValuesInEightBitsTakeAByteEachAndTwoScalesForEachHead) {
  const auto bytes = [](KvDType kv_dtype) {
    return summarize_model(fixture("llama_grouped_f32").string(), DType::bf16, kv_dtype).kv_bytes_per_token;
  };
  const TransformerConfig config = load_config(fixture("llama_grouped_f32"));
  const auto heads = static_cast<std::uint64_t>(config.layers * config.kv_heads);

  EXPECT_EQ(bytes(KvDType::automatic), heads * 4 * static_cast<std::uint64_t>(config.head_dim));
  EXPECT_EQ(bytes(KvDType::int8), heads * (2 * static_cast<std::uint64_t>(config.head_dim) + 8));
}

TEST(ContextMemory, CountsThePromptOnceAndTwoSpareBlocksForEachContext) {
  const ContextMemory memory{.block_bytes = 1000, .logits_row_bytes = 4};
  // 32 prompt tokens: 3 blocks. A context: 20 new tokens in 3 blocks, 52 token ids of 4 bytes, its row of logits.
  EXPECT_EQ(memory.needed(32, {5, 20}), 3 * 1000 + 5 * (3 * 1000 + 52 * 4 + 4));
}

TEST(ContextMemory, CountsWhatAWindowHolds) {
  const ContextMemory memory{.block_bytes = 1000, .logits_row_bytes = 4, .window = 100};
  // The window and 256 positions more are 356, in 23 blocks.
  EXPECT_EQ(memory.blocks(4000, {5, 4000}), 23 + 5 * 23);
  EXPECT_EQ(memory.blocks(4000, {5, 20}), 23 + 5 * 3);
  EXPECT_EQ(memory.blocks(32, {5, 20}), 3 + 5 * 3);
}

TEST(ContextMemory, OfAModelIsThatOfItsWidestWindow) {
  const auto window = [](const char* name) { return summarize_model(fixture(name).string(), DType::f32).window; };
  EXPECT_EQ(window("mistral_window"), 20);
  EXPECT_EQ(window("qwen2_yarn_window"), 0) << "a layer sees everything";
  EXPECT_EQ(window("llama_sharded"), 0);
}

/// Logits of contexts that grow, and of one that is computed again from its tokens.
std::vector<float> logits_on_the_way(ContextTree* tree, int vocabulary_size, int new_tokens) {
  std::vector<float> all;
  std::vector<ContextId> contexts;
  const auto compute = [&] {
    std::vector<float> logits(contexts.size() * static_cast<std::size_t>(vocabulary_size));
    tree->forward(contexts, logits);
    all.insert(all.end(), logits.begin(), logits.end());
  };
  for (int c = 0; c < 3; ++c) contexts.push_back(tree->extend(tree->root(), TokenId{c}));
  for (int i = 1; i < new_tokens; ++i) {
    if (i % 5 != 0) compute();
    for (ContextId& context : contexts) {
      const ContextId next = tree->extend(context, TokenId{i % vocabulary_size});
      tree->release(context);
      context = next;
    }
  }
  contexts.push_back(tree->insert(random_tokens(static_cast<std::size_t>(new_tokens), vocabulary_size, 5)));
  compute();
  return all;
}

TEST(ContextMemory, ARunThatFitsOnlyByItsWindowEndsInTheSameBits) {
  constexpr ContextLimits limits{2000, 480};
  const auto prompt = random_tokens(20, 100, 1);
  const BadFolder folder("mistral_window");  // which has no tokenizer
  folder.write("tokenizer.json", R"({"added_tokens": [], "normalizer": null, "post_processor": null,
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
      "decoder": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})");
  const auto load = [&](int processes) {
    return load_model(folder.path().string(), {.dtype = DType::f32, .node = {.processes = processes}});
  };
  const auto free = load(1);
  const ContextMemory memory = context_memory(free->summary());
  ContextMemory without_window = memory;
  without_window.window = 0;
  const std::uint64_t needed = memory.needed(prompt.size(), limits);
  const std::uint64_t refused = without_window.needed(prompt.size(), limits);
  ASSERT_LT(needed * 3, refused * 2);
  const std::uint64_t share = (needed + refused) / 2;

  const auto tight = load(static_cast<int>(available_memory() / share));
  const auto limited = tight->open(prompt, limits), unlimited = free->open(prompt, {4, 480});

  const int vocabulary_size = free->summary().vocabulary_size;
  EXPECT_EQ(logits_on_the_way(limited.get(), vocabulary_size, 480),
            logits_on_the_way(unlimited.get(), vocabulary_size, 480));
  EXPECT_THROW((void)tight->open(prompt, {2 * limits.contexts, 480}), UsageError);
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
  EXPECT_NE(line.find("or lower --max-tokens to"), std::string::npos) << line;
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
