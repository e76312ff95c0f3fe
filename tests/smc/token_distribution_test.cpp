#include "smc/token_distribution.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>

#include "base/isa.hpp"
#include "base/rng.hpp"
#include "smc/exact.hpp"
#include "smc/proposal.hpp"
#include "smc/row_kernels.hpp"
#include "smc/toy_potentials.hpp"

namespace shoal::smc {
namespace {

using test::token;
constexpr float inf = std::numeric_limits<float>::infinity();

/// A vocabulary of @p size rows: two end tokens (2 and size-1), every 11th row without text.
Vocabulary wide_vocabulary(int size) {
  std::vector<std::string> bytes;
  for (int v = 0; v < size; ++v) bytes.push_back(v % 11 == 7 ? std::string() : std::to_string(v).append(";"));
  return {std::move(bytes), {token(2), token(size - 1)}};
}

std::vector<float> random_logits(int size, std::uint32_t draw, double spread) {
  std::vector<float> logits;
  for (int v = 0; v < size; ++v)
    logits.push_back(static_cast<float>(
        spread * random_uniform({1}, draw, LogicalId{static_cast<std::uint32_t>(v)}, Purpose::synthetic)));
  return logits;
}

/// p over tokens in double precision, the end of sequence last.
std::vector<double> reference_row(const std::vector<float>& logits, const Vocabulary& vocabulary, double temperature) {
  std::vector<double> p(logits.size() + 1, 0.0);
  const double top = *std::max_element(logits.begin(), logits.end());
  for (std::size_t v = 0; v < logits.size(); ++v)
    if (vocabulary.text_tokens().test(token(static_cast<int>(v)))) p[v] = std::exp((logits[v] - top) / temperature);
  for (const TokenId id : vocabulary.end_tokens())
    p.back() += std::exp((logits[static_cast<std::size_t>(id.value())] - top) / temperature);
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= total;
  return p;
}

std::optional<TokenId> outcome(std::size_t v, std::size_t size) {
  return v == size ? std::nullopt : std::optional(token(static_cast<int>(v)));
}

/// T3: over every outcome, probability of drawing it * weight = target, up to the rounding of logit / T to a float.
void expect_proper(const TokenDistribution& q, const std::vector<double>& target) {
  for (std::size_t v = 0; v < target.size(); ++v) {
    const double drawn = q.probability(outcome(v, target.size() - 1)) * std::exp(q.log_mass());
    const double relative = target[v] > 0.0 ? 1e-6 - 2e-7 * std::log(target[v]) : 0.0;
    EXPECT_NEAR(drawn, target[v], relative * target[v]) << "outcome " << v;
  }
}

TEST(TokenDistribution, IsTheModelOverItsRealTokens) {
  for (const int size : {1, 5, 16, 63, 64, 65, 511, 513, 4096}) {
    if (size < 3) continue;
    const Vocabulary vocabulary = wide_vocabulary(size);
    for (const double temperature : {1.0, 0.7, 3.0}) {
      std::vector<float> logits = random_logits(size, static_cast<std::uint32_t>(size), 12.0);
      const auto target = reference_row(logits, vocabulary, temperature);
      const TokenDistribution q(logits, vocabulary, vocabulary.text_tokens(), temperature, {});
      EXPECT_EQ(q.log_mass(), 0.0);
      EXPECT_NEAR(q.log_end(), std::log(target.back()), 2e-6);
      expect_proper(q, target);
    }
  }
}

TEST(TokenDistribution, TruncationWeighsByTheMassKept) {
  const int size = 1500;
  const Vocabulary vocabulary = wide_vocabulary(size);
  const Truncation cases[] = {{1, 1.0},      {2, 1.0},       {40, 1.0},      {1490, 1.0},
                              {5000, 1.0},   {0, 0.9},       {0, 0.3},       {0, 0.9999},
                              {40, 0.5},     {3, 0.999},     {0, 1.0, 0.05}, {0, 1.0, 1e-9},
                              {0, 1.0, 1.0}, {40, 1.0, 0.1}, {0, 0.9, 0.02}, {50, 0.95, 0.3}};
  for (const double spread : {3.0, 25.0}) {
    for (const Truncation truncation : cases) {
      std::vector<float> logits = random_logits(size, 3, spread);
      auto target = reference_row(logits, vocabulary, 1.0);
      test::exact_truncate(&target, truncation.top_k, truncation.top_p, truncation.min_p);
      const TokenDistribution q(logits, vocabulary, vocabulary.text_tokens(), 1.0, truncation);
      EXPECT_NEAR(q.log_mass(), std::log(std::accumulate(target.begin(), target.end(), 0.0)), 1e-6);
      expect_proper(q, target);
    }
  }
}

TEST(TokenDistribution, TiesAreCutByTokenNumber) {
  const Vocabulary vocabulary({"a", "b", "c", "d", ""}, {token(4)});
  std::vector<float> logits = {0, 1, 1, 1, 1};
  const TokenDistribution q(logits, vocabulary, vocabulary.text_tokens(), 1.0, {.top_k = 2, .top_p = 1.0});
  EXPECT_DOUBLE_EQ(q.probability(token(1)), 0.5);
  EXPECT_DOUBLE_EQ(q.probability(token(2)), 0.5);
}

TEST(TokenDistribution, MaskKeepsAnAllowedMassOf1e300) {
  const Vocabulary vocabulary = wide_vocabulary(600);
  TokenMask allowed;
  allowed.bits.assign(vocabulary.text_tokens().bits.size(), 0);
  for (const int v : {5, 64, 578}) allowed.set(token(v));
  std::vector<float> logits(600, 0.0F);
  logits[5] = -700.0F;
  logits[64] = -701.0F;
  logits[578] = -800.0F;
  const double real_tokens = [&] {
    int n = 0;
    for (int v = 0; v < 600; ++v) n += vocabulary.text_tokens().test(token(v)) ? 1 : 0;
    return n - 3;
  }();
  const TokenDistribution q(logits, vocabulary, allowed, 1.0, {});
  const double mass = 1.0 + std::exp(-1.0) + std::exp(-100.0);
  EXPECT_NEAR(q.log_mass(), -700.0 + std::log(mass) - std::log(real_tokens + 2.0), 1e-6);
  EXPECT_NEAR(q.probability(token(64)), std::exp(-1.0) / mass, 1e-7);
  EXPECT_NEAR(q.log_end(), std::log(2.0) - std::log(real_tokens + 2.0), 1e-6);
  EXPECT_EQ(q.draw(0.01), token(5));
  EXPECT_EQ(q.draw(0.99), token(64));
}

TEST(TokenDistribution, NothingAllowedHasMassZeroAndLeavesTheLogits) {
  const Vocabulary vocabulary = wide_vocabulary(100);
  TokenMask allowed;
  allowed.bits.assign(2, 0);
  std::vector<float> logits = random_logits(100, 1, 2.0);
  const std::vector<float> before = logits;
  const TokenDistribution q(logits, vocabulary, allowed, 1.0, {});
  EXPECT_EQ(q.log_mass(), -INFINITY);
  EXPECT_TRUE(std::isfinite(q.log_end()));
  EXPECT_EQ(logits, before);
}

TEST(TokenDistribution, ImpossibleModelHasMassZero) {
  const Vocabulary vocabulary = wide_vocabulary(100);
  std::vector<float> logits(100, -inf);
  const TokenDistribution q(logits, vocabulary, vocabulary.text_tokens(), 1.0, {});
  EXPECT_EQ(q.log_mass(), -INFINITY);
  EXPECT_EQ(q.log_end(), -INFINITY);
}

TEST(TokenDistribution, NanAndInfiniteLogitsShow) {
  const Vocabulary vocabulary = wide_vocabulary(100);
  for (const int at : {0, 2, 50, 98}) {
    for (const float bad : {std::nanf(""), inf}) {
      std::vector<float> logits = random_logits(100, 1, 2.0);
      logits[static_cast<std::size_t>(at)] = bad;
      EXPECT_TRUE(std::isnan(TokenDistribution(logits, vocabulary, vocabulary.text_tokens(), 1.0, {}).log_mass()))
          << at << ' ' << bad;
    }
  }
}

TEST(TokenDistribution, NanShowsWhereverItIs) {
  const Vocabulary vocabulary = wide_vocabulary(100);
  TokenMask none;
  none.bits.assign(2, 0);
  std::vector<float> all_nan(100, std::nanf(""));
  std::vector<float> nan_where_nothing_is_allowed = random_logits(100, 1, 2.0);
  nan_where_nothing_is_allowed[50] = std::nanf("");
  const TokenDistribution all(all_nan, vocabulary, vocabulary.text_tokens(), 1.0, {});
  const TokenDistribution masked(nan_where_nothing_is_allowed, vocabulary, none, 1.0, {});
  EXPECT_TRUE(std::isnan(all.log_mass()) && std::isnan(all.log_end()));
  EXPECT_TRUE(std::isnan(masked.log_mass()) && std::isnan(masked.log_end()));
}

/// The uniform at which draw() passes from outcomes up to @p v to those beyond, by bisection.
double boundary_above(const TokenDistribution& q, std::size_t v, std::size_t size) {
  const auto is_beyond = [&](double u) {
    const auto drawn = q.draw(u);
    return (drawn ? static_cast<std::size_t>(drawn->value()) : size) > v;
  };
  double low = 0x1p-54;
  double high = 1.0;
  for (int i = 0; i < 60; ++i) (is_beyond((low + high) / 2) ? high : low) = (low + high) / 2;
  return high;
}

TEST(TokenDistribution, DrawGivesEveryOutcomeAnIntervalOfItsProbability) {
  constexpr std::size_t size = 700;
  const Vocabulary vocabulary = wide_vocabulary(size);
  for (const Truncation truncation : {Truncation{}, Truncation{20, 1.0}, Truncation{0, 0.95}}) {
    std::vector<float> logits = random_logits(size, 9, 15.0);
    const TokenDistribution q(logits, vocabulary, vocabulary.text_tokens(), 1.0, truncation);
    double below = 0.0;
    for (std::size_t v = 0; v < size; ++v) {
      const double above = std::max(below, boundary_above(q, v, size));
      const double p = q.probability(outcome(v, size));
      EXPECT_NEAR(above - below, p, 1e-12 * p + 1e-15) << v;
      below = above;
    }
    EXPECT_NEAR(1.0 - below, q.probability(std::nullopt), 1e-14);
    EXPECT_GT(q.probability(q.draw(0x1p-54)), 0.0);
    EXPECT_GT(q.probability(q.draw(1.0 - 0x1p-54)), 0.0);
  }
}

TEST(TokenDistribution, ManyDrawsAreThoseOfFew) {
  for (const int size : {5, 700, 4096, 5001}) {
    const Vocabulary vocabulary = wide_vocabulary(size);
    TokenMask odd = vocabulary.text_tokens();
    for (std::size_t w = 0; w < odd.bits.size(); ++w) odd.bits[w] &= 0xAAAA'AAAA'AAAA'AAAAULL;
    for (const TokenMask* allowed : {&vocabulary.text_tokens(), static_cast<const TokenMask*>(&odd)}) {
      std::vector<float> logits = random_logits(size, 4, 9.0);
      std::vector<float> copy = logits;
      const TokenDistribution few(logits, vocabulary, *allowed, 0.8, {});
      TokenDistribution many(copy, vocabulary, *allowed, 0.8, {});
      many.expect_draws(100'000);
      ASSERT_NE(logits, copy);
      for (std::uint32_t i = 0; i < 3000; ++i) {
        const double u = random_uniform({2}, 0, LogicalId{i}, Purpose::synthetic);
        ASSERT_EQ(few.draw(u), many.draw(u));
      }
      for (int v = 0; v < size; ++v) ASSERT_EQ(few.probability(token(v)), many.probability(token(v)));
    }
  }
}

TEST(TokenDistribution, DrawNeverReturnsATokenOfProbabilityZero) {
  const Vocabulary vocabulary({"a", "b", "c", "d"}, {});
  std::vector<float> logits = {-inf, 0.0F, -inf, -inf};
  const TokenDistribution q(logits, vocabulary, vocabulary.text_tokens(), 1.0, {});
  for (const double u : {0x1p-54, 0.5, 1.0 - 0x1p-53}) EXPECT_EQ(q.draw(u), token(1));
}

TEST(RowKernels, ExpIsAccurateToThreeTimesTheFloatRounding) {
  std::vector<float> x;
  for (int i = 0; i <= 87 * 64; ++i) x.push_back(-static_cast<float>(i) / 64.0F);
  const std::vector<std::uint64_t> all((x.size() + 63) / 64, ~std::uint64_t{0});
  std::vector<float> e = x;
  std::vector<double> sums((x.size() + chunk_tokens - 1) / chunk_tokens);
  const double sum = exp_in_place(e, all, all, 0.0F, 1.0F, sums);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(e[i] / std::exp(static_cast<double>(x[i])), 1.0, 2e-7);
  EXPECT_EQ(sum, std::accumulate(sums.begin(), sums.end(), 0.0));
  EXPECT_NEAR(sum_of_exp(x, all, 0.0F, 1.0F), sum, 1e-12 * sum);
}

/// A row's maxima, sums and weights under whatever instruction set is forced.
struct RowResults {
  std::vector<float> maxima, weights;
  std::vector<double> sums;
  bool operator==(const RowResults&) const = default;
};

RowResults results_of(const std::vector<float>& logits, TokenBits real, TokenBits allowed) {
  const RowMaxima maxima = row_maxima(logits, real, allowed);
  RowResults found{{maxima.real, maxima.allowed}, logits, {}};
  found.sums.resize((logits.size() + chunk_tokens - 1) / chunk_tokens);
  const double all = exp_in_place(found.weights, real, allowed, maxima.real, 0.7F, found.sums);
  std::vector<double> sums_alone(found.sums.size());
  EXPECT_EQ(exp_sums(logits, real, allowed, maxima.real, 0.7F, sums_alone), all);
  EXPECT_EQ(sums_alone, found.sums);
  found.sums.insert(found.sums.end(), {all, sum_of_exp(logits, real, maxima.real, 0.7F)});
  return found;
}

TEST(RowKernels, HaveTheSameBitsWithEveryInstructionSet) {
  std::mt19937_64 generator(3);
  std::normal_distribution<float> logit(0.0F, 30.0F);
  for (const std::size_t size : {1U, 63U, 64U, 1000U, 5000U}) {
    std::vector<float> logits(size);
    for (float& x : logits) x = logit(generator);
    std::vector<std::uint64_t> real((size + 63) / 64, ~std::uint64_t{0}), allowed = real;
    for (std::size_t i = 0; i < real.size(); i += 3) real[i] = allowed[i] = generator();
    for (std::size_t i = 0; i < real.size(); i += 2) allowed[i] = real[i] & generator();
    if (size % 64 != 0) real.back() &= allowed.back() &= (std::uint64_t{1} << size % 64) - 1;
    real[0] |= 1U, allowed[0] |= 1U;
    force_isa(Isa::baseline);
    const RowResults expected = results_of(logits, real, allowed);

    for (const Isa isa : all_isas) {
      if (isa > processor_isa()) break;
      force_isa(isa);
      EXPECT_EQ(results_of(logits, real, allowed), expected) << name_of(isa) << ", " << size << " tokens";
    }
    force_isa(processor_isa());
  }
}

class Proposals : public testing::TestWithParam<ProposalKind> {};

/// T3 through the proposal itself, on every context up to two letters.
TEST_P(Proposals, AreProperlyWeighted) {
  const test::ToyModel model = test::letters_model();
  const std::vector<PotentialPtr> potentials = {test::likes_a(), test::no_doubles()};
  const std::vector<std::string> stop_texts = {"cb"};
  const StopStrings stops(stop_texts, model.vocabulary());
  const auto proposal = make_proposal(GetParam(), {.vocabulary = model.vocabulary(),
                                                   .potentials = potentials,
                                                   .stops = stops,
                                                   .temperature = 0.8,
                                                   .truncation = {}});
  const std::vector<std::vector<TokenId>> contexts = {{}, {token(0)}, {token(1), token(2)}, {token(0), token(1)}};
  for (const auto& tokens : contexts) {
    const std::string text = model.decode(tokens);
    const std::vector<PotentialState> states = {text, text};
    StopStrings::State stop_state = StopStrings::start();
    EXPECT_FALSE(stops.advance(&stop_state, text));
    std::vector<float> logits;
    for (const double p : model.next(tokens)) logits.push_back(static_cast<float>(std::log(p)));
    const TokenDistribution q = proposal->distribution(logits, {states, stop_state});
    auto target = test::exact_row(model, tokens, 0.8);
    if (GetParam() != ProposalKind::model) {
      for (std::size_t v = 0; v < 3; ++v) {
        const std::string next = text + std::string(model.vocabulary().bytes(token(static_cast<int>(v))));
        if (potentials[1]->log_prefix(next) == -INFINITY && next.find("cb") == std::string::npos) target[v] = 0.0;
      }
      if (potentials[1]->log_complete(text) == -INFINITY) target.back() = 0.0;
    }
    expect_proper(q, target);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Proposals,
                         testing::Values(ProposalKind::automatic, ProposalKind::model, ProposalKind::masked));

TEST(Proposals, NameThePotentialThatLeavesNothing) {
  const test::ToyModel model = test::letters_model();
  const auto only = [](const std::string& name, char letter) {
    const auto score = [letter](const std::string& t) { return t.find_first_not_of(letter) == t.npos ? 1.0 : 0.0; };
    return std::make_shared<test::MaskedTextPotential>(name, score,
                                                       [](const std::string& t) { return t.size() > 3 ? 1.0 : 0.0; });
  };
  const std::vector<PotentialPtr> potentials = {test::likes_a(), only("only_a", 'a'), only("only_b", 'b')};
  const StopStrings stops({}, model.vocabulary());
  const auto proposal = make_proposal(ProposalKind::automatic, {.vocabulary = model.vocabulary(),
                                                                .potentials = potentials,
                                                                .stops = stops,
                                                                .temperature = 1.0,
                                                                .truncation = {}});
  std::vector<float> logits(4, 0.0F);
  const std::vector<PotentialState> states(3);
  EXPECT_EQ(proposal->distribution(logits, {states, 0}).log_mass(), -INFINITY);
  EXPECT_EQ(proposal->culprit(logits, {states, 0}), potentials[2].get());
  const std::vector<float> impossible(4, -inf);
  EXPECT_EQ(proposal->culprit(impossible, {states, 0}), nullptr);
}

}  // namespace
}  // namespace shoal::smc
