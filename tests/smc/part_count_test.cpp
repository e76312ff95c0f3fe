#include "smc/part_count.hpp"

#include <gtest/gtest.h>

namespace shoal::smc {
namespace {

/// How many of @p steps are computed in several parts, if a step takes so long.
int split_steps(PartCount* choice, int steps, double whole_s, double split_s) {
  int split = 0;
  for (int i = 0; i < steps; ++i) {
    const bool in_parts = choice->parts() > 1;
    split += in_parts ? 1 : 0;
    choice->took(in_parts ? split_s : whole_s);
  }
  return split;
}

TEST(PartCount, KeepsToWhatIsFasterAndTriesTheOtherNowAndThen) {
  PartCount choice(2);
  EXPECT_GT(split_steps(&choice, 200, 1.0, 0.7), 190);
  EXPECT_LT(split_steps(&choice, 300, 0.5, 0.7), 100);  // potentials have become cheap
  EXPECT_LT(split_steps(&choice, 300, 0.5, 0.7), 15);
}

TEST(PartCount, OneIsNeverSplit) {
  for (const int most : {0, 1}) {
    PartCount choice(most);
    EXPECT_EQ(split_steps(&choice, 200, 1.0, 0.1), 0);
  }
}

TEST(PartCount, SeveralAreThoseAskedFor) {
  PartCount choice(5);
  choice.took(1.0);
  choice.took(1.0);
  EXPECT_EQ(choice.parts(), 5);
}

}  // namespace
}  // namespace shoal::smc
