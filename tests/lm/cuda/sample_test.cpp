// Draws on an emulated block of GPU threads against smc's distribution of next tokens.
#include "lm/cuda/kernels/sample.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "lm/cuda/emulated_block.hpp"
#include "smc/token_distribution.hpp"

namespace shoal::lm::cuda {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct SampleCase {
  int vocabulary;
  std::vector<int> ends;
  double temperature = 1.0;
  int top_k = 0;
  double top_p = 1.0;
  double allowed = 1.0;  ///< share of the tokens
  bool end_allowed = true;
  bool ties = false;
  float scale = 3.0F;
  double min_p = 0.0;
};

std::ostream& operator<<(std::ostream& out, const SampleCase& c) {
  return out << "V " << c.vocabulary << ", T " << c.temperature << ", k " << c.top_k << ", p " << c.top_p << ", min p "
             << c.min_p << ", allowed " << c.allowed << (c.end_allowed ? ", end" : "") << (c.ties ? ", ties" : "");
}

struct Sampled {
  double log_mass = 0.0, log_end = 0.0;
  std::vector<int> tokens;
  bool operator==(const Sampled&) const = default;
};

/// Two rows of equal logits: one with all the draws, one with none.
Sampled sample_emulated(const SampleCase& c, const Vocabulary& vocabulary, const std::vector<float>& logits,
                        const TokenMask& allowed, const std::vector<double>& uniforms, ThreadOrder order) {
  std::vector<float> rows = logits;
  rows.insert(rows.end(), logits.begin(), logits.end());
  const auto* bits = reinterpret_cast<const std::uint32_t*>(allowed.bits.data());
  const std::uint32_t* masks[] = {bits, bits};
  const std::uint8_t end_allowed[] = {allowed.end, allowed.end};
  const int begin[] = {0, static_cast<int>(uniforms.size()), static_cast<int>(uniforms.size())};
  double log_mass[2], log_end[2];
  std::vector<int> tokens(uniforms.size(), -9);
  const SampleTask task{.logits = rows.data(),
                        .vocabulary = c.vocabulary,
                        .real = reinterpret_cast<const std::uint32_t*>(vocabulary.text_tokens().bits.data()),
                        .allowed = masks,
                        .end_allowed = end_allowed,
                        .end_tokens = c.ends.data(),
                        .end_token_count = static_cast<int>(c.ends.size()),
                        .inverse_temperature = static_cast<float>(1.0 / c.temperature),
                        .top_k = c.top_k,
                        .top_p = c.top_p,
                        .min_p = c.min_p,
                        .draws_begin = begin,
                        .uniforms = uniforms.data(),
                        .log_mass = log_mass,
                        .log_end = log_end,
                        .tokens = tokens.data()};
  emulate(2, 128, order, [&](EmulatedBlock& block) { sample(block, task); });
  EXPECT_TRUE(log_mass[0] == log_mass[1] || std::isnan(log_mass[0]));
  return {log_mass[0], log_end[0], tokens};
}

Vocabulary vocabulary_of(const SampleCase& c) {
  std::vector<std::string> bytes;
  for (int i = 0; i < c.vocabulary; ++i) bytes.push_back(i % 11 == 10 ? "" : "t" + std::to_string(i));
  std::vector<TokenId> ends;
  for (const int end : c.ends) {
    bytes[static_cast<std::size_t>(end)].clear();
    ends.emplace_back(end);
  }
  return {bytes, ends};
}

TokenMask mask_of(const SampleCase& c, const Vocabulary& vocabulary) {
  std::mt19937_64 generator(3);
  TokenMask mask = vocabulary.text_tokens();
  if (c.allowed < 1.0)
    for (int i = 0; i < c.vocabulary; ++i)
      if (std::uniform_real_distribution<>()(generator) >= c.allowed)
        mask.bits[static_cast<std::size_t>(i / 64)] &= ~(std::uint64_t{1} << (i % 64));
  mask.end = c.end_allowed;
  return mask;
}

std::vector<float> logits_of(const SampleCase& c) {
  std::mt19937_64 generator(5);
  std::normal_distribution<float> normal(0.0F, c.scale);
  std::vector<float> logits(static_cast<std::size_t>(c.vocabulary));
  for (float& x : logits) x = c.ties ? std::round(normal(generator) / 2.0F) * 2.0F : normal(generator);
  for (std::size_t i = 3; i < logits.size(); i += 17) logits[i] = -infinity;
  return logits;
}

class Sample : public testing::TestWithParam<SampleCase> {};

TEST_P(Sample, DrawsFromTheDistributionOfTheRunLoop) {
  const SampleCase& c = GetParam();
  const Vocabulary vocabulary = vocabulary_of(c);
  const TokenMask allowed = mask_of(c, vocabulary);
  const auto logits = logits_of(c);
  std::vector<double> uniforms{1e-12, 1.0 - 1e-12};
  std::mt19937_64 generator(7);
  while (uniforms.size() < 60) uniforms.push_back(std::uniform_real_distribution<>(0.0, 1.0)(generator));

  const Sampled found = sample_emulated(c, vocabulary, logits, allowed, uniforms, ThreadOrder::forward);

  auto storage = logits;
  const smc::TokenDistribution expected(storage, vocabulary, allowed, c.temperature, {c.top_k, c.top_p, c.min_p});
  EXPECT_TRUE(found.log_end == expected.log_end() || std::abs(found.log_end - expected.log_end()) < 1e-5);
  if (!std::isfinite(expected.log_mass())) {
    EXPECT_EQ(found.log_mass, expected.log_mass());
    for (const int token : found.tokens) EXPECT_EQ(token, -1);
    return;
  }
  EXPECT_NEAR(found.log_mass, expected.log_mass(), 1e-5);
  std::vector<double> before{0.0};  // cumulative, the end last
  for (int i = 0; i <= c.vocabulary; ++i)
    before.push_back(before.back() + expected.probability(i < c.vocabulary ? std::optional(TokenId{i}) : std::nullopt));
  for (std::size_t d = 0; d < uniforms.size(); ++d) {
    const auto token = static_cast<std::size_t>(found.tokens[d]);
    ASSERT_LT(token + 1, before.size());
    EXPECT_GT(before[token + 1], before[token]) << "an outcome without probability";
    EXPECT_GE(uniforms[d], before[token] - 1e-5);
    EXPECT_LE(uniforms[d], before[token + 1] + 1e-5);
  }
}

TEST_P(Sample, DoesNotDependOnTheOrderOfThreads) {
  const SampleCase& c = GetParam();
  const Vocabulary vocabulary = vocabulary_of(c);
  const TokenMask allowed = mask_of(c, vocabulary);
  const auto logits = logits_of(c);
  const std::vector<double> uniforms{0.1, 0.5, 0.9, 0.99};

  const auto found = sample_emulated(c, vocabulary, logits, allowed, uniforms, ThreadOrder::forward);

  EXPECT_EQ(sample_emulated(c, vocabulary, logits, allowed, uniforms, ThreadOrder::backward), found);
  EXPECT_EQ(sample_emulated(c, vocabulary, logits, allowed, uniforms, ThreadOrder::shuffled), found);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Sample,
    testing::Values(SampleCase{5, {2}}, SampleCase{511, {0, 510}}, SampleCase{512, {7}}, SampleCase{513, {512}},
                    SampleCase{3000, {5, 2999}, 0.5}, SampleCase{3000, {}, 2.0}, SampleCase{700, {1}, 1.0, 1},
                    SampleCase{700, {1}, 1.0, 7}, SampleCase{700, {1}, 1.0, 5000}, SampleCase{1500, {1}, 1.0, 40, 0.8},
                    SampleCase{1500, {1}, 0.7, 0, 0.9}, SampleCase{1500, {1}, 1.0, 0, 1e-6},
                    SampleCase{1500, {1}, 1.0, 0, 0.999}, SampleCase{1500, {1}, 1.0, 0, 1.0, 0.1},
                    SampleCase{1500, {1}, 1.0, 20, 0.5, 0.3, false}, SampleCase{1500, {1}, 1.0, 0, 1.0, 0.0, true},
                    SampleCase{1500, {1}, 1.0, 0, 1.0, 0.0, false},
                    SampleCase{1200, {1}, 1.0, 30, 1.0, 1.0, true, true},
                    SampleCase{1200, {1}, 1.0, 0, 0.7, 1.0, true, true},
                    SampleCase{1200, {1}, 1.0, 300, 0.7, 0.5, false, true},
                    SampleCase{1500, {1}, 1.0, 0, 1.0, 0.01, false, false, 60.0F},  // hardly any mass allowed
                    SampleCase{1500, {1}, 0.7, 0, 1.0, 1.0, true, false, 3.0F, 0.05},
                    SampleCase{700, {1, 5, 9}, 2.0, 0, 1.0, 0.5, true, false, 0.1F, 0.9},
                    SampleCase{1500, {1}, 1.0, 0, 1.0, 1.0, true, true, 3.0F, 1.0},
                    SampleCase{1500, {1}, 1.0, 40, 0.9, 0.5, false, true, 3.0F, 0.1},
                    SampleCase{1500, {1}, 1.0, 0, 0.8, 1.0, true, false, 3.0F, 1e-3},
                    SampleCase{1500, {1}, 1.0, 0, 1.0, 0.01, true, false, 60.0F, 0.1}));

TEST(SampleOfBadLogits, IsNanOrNothing) {
  const SampleCase c{600, {1}};
  const Vocabulary vocabulary = vocabulary_of(c);
  const TokenMask allowed = mask_of(c, vocabulary);
  for (const float bad : {std::nanf(""), infinity}) {
    auto logits = logits_of(c);
    logits[599] = bad;

    const auto found = sample_emulated(c, vocabulary, logits, allowed, {0.5}, ThreadOrder::forward);

    EXPECT_TRUE(std::isnan(found.log_mass));
    EXPECT_EQ(found.tokens[0], -1);
  }
  const std::vector<float> nothing(600, -infinity);
  EXPECT_EQ(sample_emulated(c, vocabulary, nothing, allowed, {0.5}, ThreadOrder::forward),
            (Sampled{-infinity, -infinity, {-1}}));
}

}  // namespace
}  // namespace shoal::lm::cuda
