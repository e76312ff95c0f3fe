#include <gtest/gtest.h>

#include "potential/support.hpp"

namespace shoal::test {
namespace {

/// The length as the potential counts it: the only n for which n..n is complete.
int measured(const std::string& text, LengthUnit unit) {
  for (int n = 0; n < 1000; ++n)
    if (log_complete(*length_potential(n, n, unit), text) == 0.0) return n;
  return -1;
}

TEST(Length, CountsBytes) {
  EXPECT_EQ(measured("", LengthUnit::bytes), 0);
  EXPECT_EQ(measured("aé€", LengthUnit::bytes), 6);
  EXPECT_EQ(measured(std::string("\0\xff", 2), LengthUnit::bytes), 2);
}

TEST(Length, CountsCharactersAsCodePoints) {
  EXPECT_EQ(measured("", LengthUnit::characters), 0);
  EXPECT_EQ(measured("naïve €", LengthUnit::characters), 7);
  EXPECT_EQ(measured("\xf0\x9f\x98\x80!", LengthUnit::characters), 2);
}

TEST(Length, CountsACharacterThatIsCutBetweenTokensOnce) {
  const PotentialPtr potential = length_potential(2, 2, LengthUnit::characters);
  PotentialState state = potential->start();

  potential->advance(state, "a\xe2");
  EXPECT_EQ(potential->log_prefix(state), 0.0);
  potential->advance(state, "\x82");
  potential->advance(state, "\xac");
  EXPECT_EQ(potential->log_complete(state), 0.0);
  potential->advance(state, "\xc3");
  EXPECT_EQ(potential->log_prefix(state), -infinity);
}

TEST(Length, CountsWordsBetweenWhiteSpace) {
  EXPECT_EQ(measured("", LengthUnit::words), 0);
  EXPECT_EQ(measured(" \n\t", LengthUnit::words), 0);
  EXPECT_EQ(measured("one", LengthUnit::words), 1);
  EXPECT_EQ(measured("  it's  a\nwell-known\tfact. ", LengthUnit::words), 4);
}

TEST(Length, CountsSentences) {
  const std::vector<std::pair<std::string, int>> table{
      {"", 0},
      {"  ", 0},
      {"No stop yet", 1},
      {"One. Two", 2},
      {"One. ", 1},
      {"Pi is 3.14 or so. Really?! Yes!", 3},
      {"Wait... what", 2},
      {"He said \"Stop.\" Then (why?) he left.", 3},
      {"“Quoted.” More.", 2},
      {"a.b.c", 1},
      {"*Bold.* Next\nline goes on", 2},
  };
  for (const auto& [text, expected] : table) EXPECT_EQ(measured(text, LengthUnit::sentences), expected) << text;
}

TEST(Length, PrefixIsZeroOnlyBeyondMax) {
  const PotentialPtr potential = length_potential(2, 3, LengthUnit::words);

  EXPECT_EQ(potential->log_prefix(potential->start()), 0.0);
  EXPECT_EQ(log_prefix(*potential, "a b c  "), 0.0);
  EXPECT_EQ(log_prefix(*potential, "a b c d"), -infinity);
  EXPECT_EQ(log_prefix(*potential, "a b c d e f"), -infinity);
}

TEST(Length, CompleteIsZeroOutsideTheBounds) {
  const PotentialPtr potential = length_potential(2, 3, LengthUnit::words);

  EXPECT_EQ(log_complete(*potential, "a"), -infinity);
  EXPECT_EQ(log_complete(*potential, "a b"), 0.0);
  EXPECT_EQ(log_complete(*potential, "a b c"), 0.0);
  EXPECT_EQ(log_complete(*potential, "a b c d"), -infinity);
}

TEST(Length, OfZeroAllowsOnlyTheEmptyText) {
  const PotentialPtr potential = length_potential(0, 0, LengthUnit::bytes);

  EXPECT_EQ(potential->log_complete(potential->start()), 0.0);
  EXPECT_EQ(log_prefix(*potential, "a"), -infinity);
}

TEST(Length, TakesTheLargestMax) {
  const PotentialPtr potential = length_potential(0, std::numeric_limits<int>::max(), LengthUnit::bytes);

  EXPECT_EQ(log_complete(*potential, "text"), 0.0);
}

TEST(Length, NeverFallsWhenTextIsAdded) {
  std::mt19937 generator(31);
  for (const LengthUnit unit : {LengthUnit::bytes, LengthUnit::characters, LengthUnit::words, LengthUnit::sentences}) {
    for (int i = 0; i < 50; ++i) {
      const std::string text = random_text(generator, 8);
      EXPECT_LE(measured(text, unit), measured(text + random_text(generator, 2), unit)) << testing::PrintToString(text);
    }
  }
}

TEST(Length, BoundsOutOfOrderAreRefused) {
  expect_error([] { (void)length_potential(5, 4, LengthUnit::words); },
               "bad length max 4 (less than min 5) give min or more");
  expect_error([] { (void)length_potential(-1, 4, LengthUnit::words); }, "bad length min -1 (negative) give 0 or more");
}

}  // namespace
}  // namespace shoal::test
