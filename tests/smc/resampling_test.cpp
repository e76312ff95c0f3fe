#include "smc/resampling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "smc/weights.hpp"

namespace shoal::smc {
namespace {

constexpr Resampling schemes[] = {Resampling::multinomial, Resampling::stratified, Resampling::systematic,
                                  Resampling::residual};
constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<std::uint64_t> words(std::size_t n, std::uint32_t draw) {
  std::vector<std::uint64_t> w(n);
  for (std::size_t i = 0; i < n; ++i)
    w[i] = random_bits({99}, draw, LogicalId{static_cast<std::uint32_t>(i)}, Purpose::synthetic);
  return w;
}

std::uint64_t sum(const std::vector<std::uint32_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

/// floor <= n <= ceil of N w for systematic, floor <= n for residual, n in floor-1..ceil+1 for stratified; zero
/// weights never have children; counts sum to N.
void check(Resampling scheme, const std::vector<std::uint64_t>& q, std::uint32_t draw) {
  const std::size_t n = q.size();
  const auto counts = offspring_counts(scheme, q, words(random_words_needed(scheme, n), draw));
  Uint128 total = 0;
  for (const std::uint64_t x : q) total += x;
  ASSERT_EQ(sum(counts), n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto low = static_cast<std::uint32_t>(Uint128{q[i]} * n / total);
    const auto high = static_cast<std::uint32_t>((Uint128{q[i]} * n + total - 1) / total);
    if (q[i] == 0) {
      ASSERT_EQ(counts[i], 0U);
    }
    if (scheme == Resampling::systematic) {
      ASSERT_GE(counts[i], low);
      ASSERT_LE(counts[i], high);
    }
    if (scheme == Resampling::residual) {
      ASSERT_GE(counts[i], low);
    }
    if (scheme == Resampling::stratified) {
      ASSERT_GE(counts[i] + 1, low);
      ASSERT_LE(counts[i], high + 1);
    }
  }
}

std::vector<double> synthetic_weights(std::size_t n, std::uint32_t kind, std::uint32_t draw) {
  std::vector<double> lw(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double u = random_uniform({5}, draw, LogicalId{static_cast<std::uint32_t>(i)}, Purpose::synthetic);
    switch (kind % 6) {
      case 0:
        lw[i] = 0.0;
        break;  // equal: N w integer
      case 1:
        lw[i] = i == draw % n ? 0.0 : -inf;
        break;  // one-hot
      case 2:
        lw[i] = u < 0.5 ? -inf : std::log(u);
        break;  // zeros
      case 3:
        lw[i] = std::floor(4 * u) * std::log(2.0);
        break;  // ties
      case 4:
        lw[i] = i % 2 == 0 ? 0.0 : -690.0;
        break;  // ratios of 1e-300
      default:
        lw[i] = 8.0 * (u - 0.5);
    }
  }
  if (*std::max_element(lw.begin(), lw.end()) == -inf) lw[0] = 0.0;
  return lw;
}

TEST(Offspring, CountsAreWithinTheirBoundsForTenThousandVectors) {
  std::uint32_t draw = 0;
  for (const std::size_t n : {1U, 2U, 3U, 7U, 64U, 1000U, 4096U}) {
    const std::uint32_t vectors = n <= 64 ? 1900 : n == 1000 ? 400 : 100;
    for (std::uint32_t v = 0; v < vectors; ++v, ++draw) {
      const IntegerWeights w = integer_weights(synthetic_weights(n, v, draw));
      check(schemes[draw % 4], w.q, draw);
      if (n <= 64) check(Resampling::systematic, w.q, draw + 1);
    }
  }
  EXPECT_GE(draw, 10'000U);
}

/// The word whose product with @p total has the integer part @p v.
std::uint64_t word_for(std::uint64_t v, std::uint64_t total) {
  return static_cast<std::uint64_t>(((Uint128{v} << 64U) + total - 1) / total);
}

TEST(Offspring, SystematicHasExactMeansOverAllOffsets) {
  for (std::uint64_t total = 1; total <= 400; total += 7) {
    for (const std::size_t n : {1U, 2U, 3U, 5U, 8U}) {
      std::vector<std::uint64_t> q(n, 0);
      for (std::uint64_t unit = 0; unit < total; ++unit) ++q[(unit * unit + unit * n) % n];
      std::vector<std::uint64_t> counted(n, 0);
      for (std::uint64_t v = 0; v < total; ++v) {
        const auto counts = offspring_counts(Resampling::systematic, q, std::vector{word_for(v, total)});
        for (std::size_t i = 0; i < n; ++i) counted[i] += counts[i];
      }
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(counted[i], n * q[i]) << "Q=" << total << " N=" << n;
    }
  }
}

TEST(Offspring, EqualWeightsHaveOneChildEach) {
  const IntegerWeights w = integer_weights(std::vector<double>(37, -2.0));
  for (const Resampling scheme : {Resampling::systematic, Resampling::stratified, Resampling::residual}) {
    const auto counts = offspring_counts(scheme, w.q, words(random_words_needed(scheme, 37), 3));
    EXPECT_EQ(counts, std::vector<std::uint32_t>(37, 1));
  }
}

TEST(Offspring, ExtremeWordsStayInRange) {
  const std::vector<std::uint64_t> q = {0, 1, std::uint64_t{1} << 61U, 3, 0};
  for (const Resampling scheme : schemes) {
    for (const std::uint64_t word : {std::uint64_t{0}, ~std::uint64_t{0}}) {
      const auto counts =
          offspring_counts(scheme, q, std::vector<std::uint64_t>(random_words_needed(scheme, q.size()), word));
      EXPECT_EQ(sum(counts), q.size());
      EXPECT_EQ(counts.front() + counts.back(), 0U);
    }
  }
}

TEST(Ancestors, AreSortedByParent) {
  const std::vector<std::uint32_t> counts = {2, 0, 1, 0, 2};
  const std::vector<LogicalId> expected = {LogicalId{0}, LogicalId{0}, LogicalId{2}, LogicalId{4}, LogicalId{4}};
  EXPECT_EQ(ancestors_of(counts), expected);
}

TEST(ResamplingWords, DifferByBatchAndPurpose) {
  const auto words_of = [](Resampling scheme, std::uint32_t batch) { return resampling_words(scheme, 4, {7}, batch); };
  EXPECT_NE(words_of(Resampling::multinomial, 0), words_of(Resampling::multinomial, 1));
  EXPECT_NE(words_of(Resampling::multinomial, 0), words_of(Resampling::residual, 0));
  EXPECT_EQ(words_of(Resampling::systematic, 0).size(), 1U);
}

}  // namespace
}  // namespace shoal::smc
