// Whole models by the plugin's own code on emulated CUDA (emulated_cuda.cpp): Hugging Face's logits, the same bits in
// every batch, draws, blocks that travel.
#include "lm/cuda/transformer.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iostream>

#include "lm/cuda/limits.hpp"
#include "lm/expected_logits.hpp"
#include "lm/fixtures.hpp"
#include "shoal/error.hpp"
#include "smc/token_distribution.hpp"

namespace shoal::lm::cuda {
namespace {

std::unique_ptr<Transformer> load_on_gpu(const std::string& name, DType dtype) {
  return load_transformer(load_config(fixture(name)), std::make_shared<const Safetensors>(fixture(name)),
                          {.dtype = dtype});
}

class CudaParity : public testing::TestWithParam<std::tuple<const char*, DType>> {};

TEST_P(CudaParity, GivesTheLogitsOfHuggingFace) {
  const auto [name, dtype] = GetParam();
  if (!beyond_gpus(load_config(fixture(name))).empty()) {
    EXPECT_THROW((void)load_on_gpu(name, dtype), ModelError);
    return;
  }
  const auto transformer = load_on_gpu(name, dtype);
  const int vocabulary_size = transformer->config().vocabulary_size;
  const ExpectedLogits expected = read_expected(fixture(name), vocabulary_size);
  double worst = 0.0;
  for (const Expected& one : expected.prompts) {
    const std::size_t last = one.positions.size() - 1;
    TransformerTree tree(*transformer, std::span(one.prompt).first(one.positions[last] + 1));
    worst = std::max(worst, relative_error(logits_of(&tree, {tree.root()}, vocabulary_size), one.logits[last]));
  }
  const double tolerance = dtype == DType::bf16 ? expected.bf16_error : expected.int8_tolerance();
  std::cout << "relative error " << worst << " of " << tolerance << " allowed\n";
  EXPECT_LE(worst, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, CudaParity,
                         testing::Combine(testing::ValuesIn(checkpoints), testing::Values(DType::bf16, DType::int8)),
                         [](const auto& i) { return std::get<0>(i.param) + name_of(std::get<1>(i.param)); });

class CudaTree : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    transformer = load_on_gpu(GetParam(), DType::bf16);
    vocabulary_size = transformer->config().vocabulary_size;
    prompt = random_tokens(21, vocabulary_size, 1);
  }
  std::vector<float> alone(std::span<const TokenId> tokens) const {
    std::vector<TokenId> all = prompt;
    all.insert(all.end(), tokens.begin(), tokens.end());
    TransformerTree tree(*transformer, all);
    return logits_of(&tree, {tree.root()}, vocabulary_size);
  }
  void expect_row(const std::vector<float>& logits, std::size_t row, const std::vector<float>& expected) const {
    EXPECT_EQ(std::memcmp(logits.data() + row * expected.size(), expected.data(), expected.size() * sizeof(float)), 0)
        << "row " << row;
  }
  std::unique_ptr<Transformer> transformer;
  int vocabulary_size = 0;
  std::vector<TokenId> prompt;
};

/// Decoding in batches that are recorded and run again, forks that copy half-filled blocks, against prefill alone.
TEST_P(CudaTree, AContextHasTheSameBitsInEveryBatch) {
  TransformerTree tree(*transformer, prompt);
  std::vector<std::vector<TokenId>> texts;
  std::vector<ContextId> contexts;
  for (int i = 0; i < 5; ++i) {
    texts.push_back(random_tokens(13, vocabulary_size, 30 + static_cast<std::uint64_t>(i / 2)));
    texts.back().back() = TokenId{i};  // pairs that fork at the last token
    contexts.push_back(tree.root());
    tree.retain(tree.root());
  }
  std::vector<float> logits;
  for (std::size_t t = 0; t < 13; ++t) {
    std::vector<ContextId> distinct;
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      const ContextId child = tree.extend(contexts[i], texts[i][t]);
      tree.release(contexts[i]);
      contexts[i] = child;
      if (std::find(distinct.begin(), distinct.end(), child) == distinct.end()) distinct.push_back(child);
    }
    logits = logits_of(&tree, distinct, vocabulary_size);
  }
  for (std::size_t i = 0; i < texts.size(); ++i) expect_row(logits, i, alone(texts[i]));
}

TEST_P(CudaTree, AContextThatHasTravelledHasTheSameBits) {
  TransformerTree from(*transformer, prompt), to(*transformer, prompt);
  const auto text = random_tokens(30, vocabulary_size, 7);
  const ContextId computed = descend(&from, text);
  (void)logits_of(&from, {computed}, vocabulary_size);

  const ContextId arrived = bring(&to, from, computed, text);
  const ContextId child = to.extend(arrived, TokenId{3});

  auto longer = text;
  longer.emplace_back(3);
  expect_row(logits_of(&to, {child}, vocabulary_size), 0, alone(longer));
}

TEST_P(CudaTree, DrawsAreThoseOfTheLogits) {
  std::vector<std::string> bytes;
  for (int i = 0; i < vocabulary_size; ++i) bytes.push_back(i == 2 ? "" : std::to_string(i));
  const Vocabulary vocabulary(bytes, {TokenId{2}});
  ASSERT_TRUE(transformer->prepare_sampling(vocabulary));
  TransformerTree tree(*transformer, prompt, true);
  auto few = std::make_shared<TokenMask>(vocabulary.text_tokens());
  for (std::size_t i = 0; i < few->bits.size(); ++i) few->bits[i] &= 0x10101010F0F0F0F0U;
  std::vector<ContextDraws> draws(3);
  for (std::size_t i = 0; i < draws.size(); ++i) {
    draws[i].context = tree.extend(tree.root(), TokenId{static_cast<int>(5 + i)});
    draws[i].allowed = i == 1 ? few : std::make_shared<TokenMask>(vocabulary.text_tokens());
    draws[i].uniforms.assign(i, 0.5);
  }

  tree.start_sampling({.temperature = 0.8, .top_k = 0, .top_p = 1.0, .min_p = 0.0}, draws);
  tree.finish_sampling();

  for (const ContextDraws& one : draws) {
    auto logits = logits_of(&tree, {one.context}, vocabulary_size);
    const smc::TokenDistribution expected(logits, vocabulary, *one.allowed, 0.8, {});
    EXPECT_NEAR(one.log_mass, expected.log_mass(), 1e-5);
    EXPECT_NEAR(one.log_end, expected.log_end(), 1e-5);
    ASSERT_EQ(one.tokens.size(), one.uniforms.size());
    for (const auto& token : one.tokens) EXPECT_EQ(token, expected.draw(0.5));
  }
}

TEST_P(CudaTree, TakesTheMemoryOfTreesThatHaveEnded) {
  const auto first = alone({});
  const std::uint64_t room = transformer->free_block_bytes();
  std::size_t free = 0, free_again = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);

  const auto second = alone({});

  ASSERT_EQ(cudaMemGetInfo(&free_again, &total), cudaSuccess);
  EXPECT_EQ(free_again, free);
  EXPECT_EQ(transformer->free_block_bytes(), room);
  EXPECT_GT(room + (std::uint64_t{512} << 20U), free) << "what is kept for the next tree is free";
  expect_row(second, 0, first);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, CudaTree,
                         testing::Values("qwen2_tied_f16", "mistral_window", "gpt2", "gpt_neox"));

TEST(CudaLoading, NamesWhatItDoesNotCompute) {
  const auto refusal = [](const std::string& name) -> std::string {
    try {
      (void)load_on_gpu(name, DType::bf16);
    } catch (const ModelError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("gemma3"),
            "no GPU computes Gemma3ForCausalLM here (it has norms after attention and MLP) use --device cpu");
  EXPECT_NE(refusal("granite").find("a scaled residual stream"), std::string::npos) << refusal("granite");
  for (const char* name : {"gemma", "phi3_longrope", "gpt_neox", "smollm3"}) EXPECT_EQ(refusal(name), "accepted");
}

TEST(CudaLoading, RefusesF32) { EXPECT_THROW((void)load_on_gpu("gpt2", DType::f32), ModelError); }

TEST(CudaLoading, RefusesKeysAndValuesInEightBits) {
  const auto folder = fixture("gpt2");
  EXPECT_THROW((void)load_transformer(load_config(folder), std::make_shared<const Safetensors>(folder),
                                      {.kv_dtype = KvDType::int8, .device = {Device::Kind::cuda, 0}}),
               ModelError);
}

}  // namespace
}  // namespace shoal::lm::cuda
