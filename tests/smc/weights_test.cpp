#include "smc/weights.hpp"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <limits>
#include <vector>

#include "shoal/error.hpp"

namespace shoal::smc {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

TEST(IntegerWeights, ScaleKeepsTheTotalWithin64Bits) {
  for (const std::size_t n : {1U, 2U, 3U, 4096U, 4097U, 1U << 16U}) {
    const IntegerWeights w = integer_weights(std::vector<double>(n, -3.5));
    EXPECT_EQ(w.scale, std::min(52, 63 - static_cast<int>(std::ceil(std::log2(n))))) << n;
    EXPECT_EQ(w.total, n << static_cast<unsigned>(w.scale)) << n;
    EXPECT_DOUBLE_EQ(effective_sample_size(w), static_cast<double>(n));
    EXPECT_NEAR(log_mean_weight(w), -3.5, 1e-14);
  }
}

TEST(IntegerWeights, FollowsTheExponentials) {
  const std::vector<double> lw = {-700.0, -701.0, -inf, -705.5, -700.0};
  const IntegerWeights w = integer_weights(lw);
  double sum = 0.0;
  for (std::size_t i = 0; i < lw.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(w.q[i]) / std::ldexp(1.0, w.scale), std::exp(lw[i] + 700.0), 1e-15);
    sum += std::exp(lw[i] + 700.0);
  }
  EXPECT_NEAR(log_mean_weight(w), -700.0 + std::log(sum / 5.0), 1e-12);
}

TEST(IntegerWeights, SumsDoNotDependOnTheOrder) {
  std::vector<double> lw;
  for (int i = 0; i < 1000; ++i) lw.push_back(std::sin(i * 1.7) * 20.0);
  const IntegerWeights forward = integer_weights(lw);
  std::reverse(lw.begin(), lw.end());
  const IntegerWeights backward = integer_weights(lw);
  EXPECT_EQ(forward.total, backward.total);
  EXPECT_EQ(log_mean_weight(forward), log_mean_weight(backward));
  EXPECT_EQ(effective_sample_size(forward), effective_sample_size(backward));
}

TEST(IntegerWeights, RoundingModeOnlyMovesTheLastBitOfTheExponential) {
  const std::vector<double> lw = {0.0, -0.1, -1.7, -30.0};
  const IntegerWeights nearest = integer_weights(lw);
  std::fesetround(FE_UPWARD);
  const IntegerWeights upward = integer_weights(std::vector<double>(4, -1.0));
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(upward.total, 4 * (std::uint64_t{1} << 52U));
  EXPECT_EQ(nearest.q[0], std::uint64_t{1} << 52U);
}

TEST(IntegerWeights, OneHotHasSampleSizeOne) {
  const IntegerWeights w = integer_weights(std::vector<double>{-inf, 4.0, -inf, -300.0});
  EXPECT_DOUBLE_EQ(effective_sample_size(w), 1.0);
  EXPECT_EQ(w.q[3], 0U);
  EXPECT_NEAR(log_mean_weight(w), 4.0 - std::log(4.0), 1e-14);
}

TEST(IntegerWeights, AllZeroIsExtinct) {
  const IntegerWeights w = integer_weights(std::vector<double>(7, -inf));
  EXPECT_TRUE(w.extinct());
  EXPECT_EQ(effective_sample_size(w), 0.0);
  EXPECT_EQ(log_mean_weight(w), -inf);
}

TEST(IntegerWeights, NanAndInfinityNameTheParticle) {
  for (const double bad : {std::nan(""), inf}) {
    try {
      (void)integer_weights(std::vector<double>{0.0, 0.0, bad});
      FAIL() << "accepted " << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("particle 2"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace shoal::smc
