// The law of the offspring counts.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "smc/exact.hpp"
#include "smc/resampling.hpp"
#include "smc/weights.hpp"

namespace shoal::smc {
namespace {

using test::Sample;
using test::z_limit;

constexpr Resampling schemes[] = {Resampling::multinomial, Resampling::stratified, Resampling::systematic,
                                  Resampling::residual};

IntegerWeights uneven_weights(std::size_t n) {
  std::vector<double> log_weights;
  for (std::size_t i = 0; i < n; ++i)
    log_weights.push_back(3.0 * random_uniform({11}, 0, LogicalId{static_cast<std::uint32_t>(i)}, Purpose::synthetic));
  return integer_weights(log_weights);
}

std::vector<std::uint32_t> draw_counts(Resampling scheme, const IntegerWeights& weights, std::uint32_t draw) {
  return offspring_counts(scheme, weights.q, resampling_words(scheme, weights.q.size(), {42}, draw));
}

double share(const IntegerWeights& weights, std::size_t i) {
  return static_cast<double>(weights.q[i]) / static_cast<double>(weights.total);
}

/// Normal deviate of a chi-square value (Wilson & Hilferty).
double chi_square_z(double chi_square, double freedom) {
  const double spread = 2.0 / (9.0 * freedom);
  return (std::cbrt(chi_square / freedom) - (1.0 - spread)) / std::sqrt(spread);
}

/// Test 3.
TEST(OffspringLaw, MultinomialCountsPassChiSquare) {
  constexpr std::size_t n = 64;
  constexpr std::uint32_t draws = 100'000;
  const IntegerWeights weights = uneven_weights(n);
  std::vector<double> totals(n);
  for (std::uint32_t d = 0; d < draws; ++d) {
    const auto counts = draw_counts(Resampling::multinomial, weights, d);
    for (std::size_t i = 0; i < n; ++i) totals[i] += counts[i];
  }
  double chi_square = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double expected = static_cast<double>(n) * draws * share(weights, i);
    chi_square += (totals[i] - expected) * (totals[i] - expected) / expected;
  }
  std::printf("    z(chi-square) %+.2f\n", chi_square_z(chi_square, n - 1));
  EXPECT_LT(std::abs(chi_square_z(chi_square, n - 1)), z_limit);
}

TEST(OffspringLaw, MeanIsNTimesTheWeightInEveryScheme) {
  constexpr std::size_t n = 64;
  constexpr double bonferroni_limit = 5.2;  // 64 indices
  const IntegerWeights weights = uneven_weights(n);
  for (const Resampling scheme : schemes) {
    std::vector<Sample> counts(n);
    for (std::uint32_t d = 0; d < 100'000; ++d) {
      const auto drawn = draw_counts(scheme, weights, d);
      for (std::size_t i = 0; i < n; ++i) counts[i].add(drawn[i]);
    }
    double largest = 0.0;
    for (std::size_t i = 0; i < n; ++i)
      largest = std::max(largest, std::abs(counts[i].z(static_cast<double>(n) * share(weights, i))));
    std::printf("    scheme %d: largest |z| %.2f\n", static_cast<int>(scheme), largest);
    EXPECT_LT(largest, bonferroni_limit);
  }
}

TEST(OffspringLaw, SystematicVarianceIsThatOfTheFraction) {
  constexpr std::size_t n = 64;
  constexpr std::uint32_t draws = 100'000;
  const IntegerWeights weights = uneven_weights(n);
  std::vector<Sample> counts(n);
  for (std::uint32_t d = 0; d < draws; ++d) {
    const auto drawn = draw_counts(Resampling::systematic, weights, d);
    for (std::size_t i = 0; i < n; ++i) counts[i].add(drawn[i]);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const double mean = static_cast<double>(n) * share(weights, i);
    const double fraction = mean - std::floor(mean);
    const double variance = fraction * (1.0 - fraction);
    const double error = std::sqrt(variance * std::abs(1.0 - 4.0 * variance) / draws) + 1e-4;
    EXPECT_NEAR(counts[i].variance(), variance, 5.2 * error) << i;
  }
}

/// T8.
TEST(OffspringLaw, MeansOfFourParticles) {
  const IntegerWeights weights =
      integer_weights(std::vector{std::log(0.5), std::log(0.3), std::log(0.1), std::log(0.1)});
  std::vector<double> variance_of;
  for (const Resampling scheme : schemes) {
    std::vector<Sample> counts(4);
    for (std::uint32_t d = 0; d < 5000; ++d) {
      const auto drawn = draw_counts(scheme, weights, d);
      for (std::size_t i = 0; i < 4; ++i) counts[i].add(drawn[i]);
    }
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(counts[i].mean() / 4.0, share(weights, i), 0.02);
    variance_of.push_back(
        std::accumulate(counts.begin(), counts.end(), 0.0, [](double v, const Sample& s) { return v + s.variance(); }));
  }
  for (const double variance : variance_of) EXPECT_LE(variance, variance_of[0]);
}

TEST(OffspringLaw, WeightOfAtLeastOneShareSurvivesLowVarianceSchemes) {
  for (std::uint32_t d = 0; d < 100; ++d) {
    const IntegerWeights weights = uneven_weights(40);
    for (const Resampling scheme : {Resampling::systematic, Resampling::residual}) {
      const auto counts = draw_counts(scheme, weights, d);
      for (std::size_t i = 0; i < 40; ++i) {
        if (Uint128{weights.q[i]} * 40 >= weights.total) {
          EXPECT_GE(counts[i], 1U);
        }
      }
    }
  }
}

/// Test 13: two lines of descent meet after a geometric number of generations of mean N.
TEST(Genealogy, MultinomialPairsCoalesceAfterNGenerations) {
  constexpr std::size_t n = 32;
  const IntegerWeights equal = integer_weights(std::vector<double>(n, 0.0));
  Sample generations;
  for (std::uint32_t run = 0; run < 10'000; ++run) {
    const auto pick = [&](std::uint32_t which, std::uint64_t below) {
      return random_bits({run}, 0, LogicalId{which}, Purpose::synthetic) % below;
    };
    auto a = static_cast<std::size_t>(pick(0, n));
    auto b = (a + 1 + static_cast<std::size_t>(pick(1, n - 1))) % n;
    std::uint32_t generation = 0;
    while (a != b) {
      const auto words = resampling_words(Resampling::multinomial, n, {run}, generation++);
      // Children are sorted by parent, so slots are dealt anew before each generation.
      const auto ancestors = ancestors_of(offspring_counts(Resampling::multinomial, equal.q, words));
      const auto at = static_cast<std::size_t>(random_bits({run}, generation, LogicalId{2}, Purpose::synthetic) % n);
      const auto other = (at + 1 + random_bits({run}, generation, LogicalId{3}, Purpose::synthetic) % (n - 1)) % n;
      a = ancestors[at].value();
      b = ancestors[other].value();
    }
    generations.add(generation);
  }
  std::printf("    mean %.2f, z %+.2f\n", generations.mean(), generations.z(n));
  EXPECT_NEAR(generations.mean(), 32.0, 1.4);
}

TEST(Genealogy, SystematicNeverMergesEqualWeights) {
  const IntegerWeights equal = integer_weights(std::vector<double>(32, -3.0));
  for (std::uint32_t batch = 0; batch < 1000; ++batch) {
    const auto ancestors = ancestors_of(draw_counts(Resampling::systematic, equal, batch));
    for (std::uint32_t i = 0; i < 32; ++i) ASSERT_EQ(ancestors[i], LogicalId{i});
  }
}

}  // namespace
}  // namespace shoal::smc
