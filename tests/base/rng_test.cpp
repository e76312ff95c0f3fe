#include "base/rng.hpp"

#include <Random123/philox.h>
#include <gtest/gtest.h>

#include <set>

namespace shoal {
namespace {

// Known-answer vectors of Random123 1.09 (tests/kat_vectors): philox4x32, 10 rounds.
TEST(Philox, MatchesTheKnownAnswers) {
  const auto philox = [](r123::Philox4x32::ctr_type c, r123::Philox4x32::key_type k) {
    return r123::Philox4x32{}(c, k);
  };
  EXPECT_EQ(philox({{0, 0, 0, 0}}, {{0, 0}}),
            (r123::Philox4x32::ctr_type{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
  EXPECT_EQ(philox({{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}}, {{0xffffffff, 0xffffffff}}),
            (r123::Philox4x32::ctr_type{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
  EXPECT_EQ(philox({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, {{0xa4093822, 0x299f31d0}}),
            (r123::Philox4x32::ctr_type{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}

/// The address of the third vector, so that the order of counter and key words is fixed too.
TEST(RandomBits, IsPhiloxOfIdStepPurposeAndDraw) {
  const std::uint64_t bits = random_bits({0x299f31d0a4093822}, 0x85a308d3, LogicalId{0x243f6a88},
                                         static_cast<Purpose>(0x13198a2e), 0x03707344);
  EXPECT_EQ(bits, 0x94fdccebd16cfe09);
}

TEST(RandomBits, DiffersInEveryPartOfTheAddress) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed : {0ULL, 1ULL, 1ULL << 32U})
    for (std::uint32_t step = 0; step < 5; ++step)
      for (std::uint32_t id = 0; id < 5; ++id)
        for (Purpose purpose : {Purpose::token, Purpose::resample})
          for (std::uint32_t draw = 0; draw < 3; ++draw)
            seen.insert(random_bits({seed}, step, LogicalId{id}, purpose, draw));
  EXPECT_EQ(seen.size(), 3U * 5 * 5 * 2 * 3);
}

TEST(RandomUniform, IsInTheOpenIntervalWithTheRightMean) {
  double sum = 0.0;
  constexpr int draws = 100000;
  for (int i = 0; i < draws; ++i) {
    const double u = random_uniform({7}, static_cast<std::uint32_t>(i), LogicalId{3}, Purpose::token);
    ASSERT_GT(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / draws, 0.5, 4.42 * 0.2887 / 316.2);
}

}  // namespace
}  // namespace shoal
