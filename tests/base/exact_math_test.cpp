#include "base/exact_math.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace shoal {
namespace {

double ulps(double value, long double reference) {
  const double rounded = static_cast<double>(reference);
  const double ulp = std::nextafter(std::abs(rounded), INFINITY) - std::abs(rounded);
  return static_cast<double>(std::abs(static_cast<long double>(value) - reference) / ulp);
}

TEST(ExactExp, StaysBelowTwoUlps) {
  std::mt19937_64 generator(1);
  std::uniform_real_distribution<double> x(-700.0, 700.0);
  for (int i = 0; i < 200000; ++i) {
    const double v = x(generator);
    ASSERT_LT(ulps(exact_exp(v), std::exp(static_cast<long double>(v))), 2.0) << v;
  }
}

TEST(ExactExp, IsRightBelowTheNormalRange) {
  for (double x = -745.0; x < -708.0; x += 0.137) {
    const double expected = static_cast<double>(std::exp(static_cast<long double>(x)));
    EXPECT_NEAR(exact_exp(x), expected, 2e-16 * expected + std::numeric_limits<double>::denorm_min()) << x;
  }
}

TEST(ExactExp, TreatsTheEnds) {
  EXPECT_EQ(exact_exp(0.0), 1.0);
  EXPECT_EQ(exact_exp(-std::numeric_limits<double>::infinity()), 0.0);
  EXPECT_EQ(exact_exp(std::numeric_limits<double>::infinity()), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(exact_exp(std::nan(""))));
  EXPECT_GT(exact_exp(-744.0), 0.0);
  EXPECT_EQ(exact_exp(-746.0), 0.0);
}

TEST(ExactLog, StaysBelowTwoUlps) {
  std::mt19937_64 generator(2);
  std::uniform_real_distribution<double> exponent(-300.0, 300.0);
  for (int i = 0; i < 200000; ++i) {
    const double v = std::pow(10.0, exponent(generator));
    ASSERT_LT(ulps(exact_log(v), std::log(static_cast<long double>(v))), 2.0) << v;
  }
  std::uniform_real_distribution<double> near_one(0.5, 2.0);
  for (int i = 0; i < 200000; ++i) {
    const double v = near_one(generator);
    ASSERT_LT(ulps(exact_log(v), std::log(static_cast<long double>(v))), 2.0) << v;
  }
}

TEST(ExactLog, TreatsTheEnds) {
  EXPECT_EQ(exact_log(1.0), 0.0);
  EXPECT_EQ(exact_log(0.0), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(exact_log(-1.0)));
  EXPECT_NEAR(exact_log(std::numeric_limits<double>::denorm_min()), -744.4400719213812, 1e-12);
}

TEST(ExactLogSumExp, HandlesExtremes) {
  constexpr double minus_infinity = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(exact_log_sum_exp({}), minus_infinity);
  EXPECT_EQ(exact_log_sum_exp(std::vector<double>{minus_infinity, minus_infinity}), minus_infinity);
  EXPECT_TRUE(std::isnan(exact_log_sum_exp(std::vector<double>{minus_infinity, std::nan("")})));
  EXPECT_TRUE(std::isnan(exact_log_sum_exp(std::vector<double>{std::nan(""), 1.0})));
  EXPECT_DOUBLE_EQ(exact_log_sum_exp(std::vector<double>{1000.0, 1000.0}), 1000.0 + std::log(2.0));
}

}  // namespace
}  // namespace shoal
