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

/// T3: over every outcome, probability of drawing it * weight = target, up to the errors of exp and of logit -
/// reference.
void expect_proper(const TokenDistribution& q, const std::vector<double>& target) {
  for (std::size_t v = 0; v < target.size(); ++v) {
    const double drawn = q.probability(outcome(v, target.size() - 1)) * std::exp(q.log_mass());
    const double relative = target[v] > 0.0 ? 3e-7 - 6e-8 * std::log(target[v]) : 0.0;
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

/// Chunks far below the best one keep their digits: between them, and within each.
TEST(TokenDistribution, AllowedChunksFarApartAreProper) {
  constexpr std::size_t size = 6 * chunk_tokens - 9;
  const Vocabulary vocabulary = wide_vocabulary(size);
  std::vector<float> logits = random_logits(size, 8, 20.0);
  for (std::size_t v = 0; v < size; ++v) logits[v] -= 15.0F * static_cast<float>((v / chunk_tokens * 5) % 6);
  const auto target = reference_row(logits, vocabulary, 0.9);
  for (const std::size_t first : {std::size_t{0}, 2 * chunk_tokens, 5 * chunk_tokens}) {
    TokenMask allowed = vocabulary.text_tokens();
    allowed.end = false;
    for (std::size_t w = 0; w < first / 64; ++w) allowed.bits[w] = 0;
    auto kept = target;
    kept.back() = 0.0;
    for (std::size_t v = 0; v < first; ++v) kept[v] = 0.0;
    const TokenDistribution q(logits, vocabulary, allowed, 0.9, {});
    EXPECT_NEAR(q.log_mass(), std::log(std::accumulate(kept.begin(), kept.end(), 0.0)), 1e-7);
    expect_proper(q, kept);
  }
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

/// Weights relative to @p reference, and their sum, in long double; 0 outside @p tokens.
std::vector<long double> exact_weights(std::span<const float> logits, TokenBits tokens, float reference,
                                       double temperature) {
  std::vector<long double> weights(logits.size(), 0.0L);
  for (std::size_t v = 0; v < logits.size(); ++v)
    if ((tokens[v / 64] >> v % 64 & 1U) != 0)
      weights[v] = std::exp((static_cast<long double>(logits[v]) - reference) / temperature);
  return weights;
}

TEST(RowKernels, ExpIsAccurateToTwiceTheFloatRounding) {
  std::vector<float> x;
  for (int i = 0; i <= 86 * 64; ++i) x.push_back(-static_cast<float>(i) / 64.0F);
  const std::vector<std::uint64_t> all((x.size() + 63) / 64, ~std::uint64_t{0});
  for (const double temperature : {1.0, 1.1, 3.7}) {
    std::vector<float> e = x;
    const double sum = exp_in_place(e, all, 0.0F, 1.0 / temperature);
    const auto exact = exact_weights(x, all, 0.0F, temperature);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(e[i] / static_cast<double>(exact[i]), 1.0, 1.3e-7) << x[i];
    EXPECT_NEAR(sum, std::accumulate(e.begin(), e.end(), 0.0), 1e-14 * sum);
  }
}

TEST(RowKernels, WeightsEndAtTheSmallestNormalNumber) {
  std::vector<float> x = {0.0F, -86.0F, -87.5F, -1e5F, -3e38F, -inf};
  const std::vector<std::uint64_t> all = {~std::uint64_t{0}};
  (void)exp_in_place(x, all, 0.0F, 1.0);
  EXPECT_EQ(x[0], 1.0F);
  EXPECT_GT(x[1], 0.0F);
  for (std::size_t i = 2; i < x.size(); ++i) EXPECT_EQ(x[i], 0.0F) << i;
}

TEST(RowKernels, EveryChunkIsSummedRelativeToItsOwnBest) {
  constexpr std::size_t size = 4 * chunk_tokens - 100;
  std::vector<float> logits = random_logits(size, 6, 10.0);
  for (std::size_t v = 0; v < size; ++v) logits[v] -= 500.0F * static_cast<float>(v / chunk_tokens);
  std::vector<std::uint64_t> real((size + 63) / 64, ~std::uint64_t{0});
  real.back() &= (std::uint64_t{1} << size % 64) - 1;
  std::vector<std::uint64_t> allowed = real;
  for (std::size_t w = 0; w < chunk_tokens / 64; ++w) allowed[w] &= 0x10'0000'0001ULL << w;    // the first chunk
  for (std::size_t w = 0; w < chunk_tokens / 64; ++w) allowed[2 * chunk_tokens / 64 + w] = 0;  // the third
  std::vector<ScaledSum> of_real(4), of_allowed(4);
  sum_chunks(logits, real, allowed, 1.25, of_real, of_allowed);
  const auto expect = [&](const std::vector<std::uint64_t>& tokens, std::size_t c, const ScaledSum& found) {
    float best = -inf;
    for (std::size_t v = c * chunk_tokens; v < std::min(size, (c + 1) * chunk_tokens); ++v)
      if ((tokens[v / 64] >> v % 64 & 1U) != 0) best = std::max(best, logits[v]);
    const auto exact = exact_weights(logits, tokens, best, 0.8);
    long double sum = 0.0L;
    for (std::size_t v = c * chunk_tokens; v < std::min(size, (c + 1) * chunk_tokens); ++v) sum += exact[v];
    EXPECT_EQ(found.reference, best);
    EXPECT_NEAR(found.sum, static_cast<double>(sum), 1e-7 * static_cast<double>(sum));
  };
  for (std::size_t c = 0; c < 4; ++c) expect(real, c, of_real[c]);
  for (const std::size_t c : {0U, 1U, 3U}) expect(allowed, c, of_allowed[c]);
  EXPECT_EQ(of_allowed[1], of_real[1]);
  EXPECT_EQ(of_allowed[2], (ScaledSum{-inf, 0.0}));
}

/// A row's sums and weights under whatever instruction set is forced.
struct RowResults {
  std::vector<ScaledSum> of_real, of_allowed;
  std::vector<float> weights;
  double sum = 0.0;
  bool operator==(const RowResults&) const = default;
};

RowResults results_of(const std::vector<float>& logits, TokenBits real, TokenBits allowed) {
  const std::size_t chunks = chunks_of(logits.size());
  RowResults found{std::vector<ScaledSum>(chunks), std::vector<ScaledSum>(chunks), logits};
  sum_chunks(logits, real, allowed, 0.7, found.of_real, found.of_allowed);
  found.sum = exp_in_place(found.weights, allowed, 0.5F, 0.7);
  for (std::size_t c = 0; c < chunks; ++c) {
    const std::size_t begin = c * chunk_tokens, size = std::min(chunk_tokens, logits.size() - begin);
    std::vector<float> chunk(logits.begin() + static_cast<std::ptrdiff_t>(begin),
                             logits.begin() + static_cast<std::ptrdiff_t>(begin + size));
    EXPECT_EQ(exp_in_place(chunk, allowed.subspan(begin / 64), found.of_allowed[c].reference, 0.7),
              found.of_allowed[c].sum);
  }
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
