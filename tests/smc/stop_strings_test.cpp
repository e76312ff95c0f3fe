#include "smc/stop_strings.hpp"

#include <gtest/gtest.h>

#include "base/rng.hpp"
#include "smc/exact.hpp"
#include "smc/toy_model.hpp"

namespace shoal::smc {
namespace {

using test::token;

const Vocabulary& vocabulary() {
  static const Vocabulary v({"a", "b", "ab", "ba", "aab", "", "bb", "c"}, {token(5)});
  return v;
}

TEST(StopStrings, CutsRandomTextsLikeTheNaiveSearch) {
  const std::vector<std::vector<std::string>> sets = {
      {"abba"}, {"aa", "b"}, {"abc", "bc", "c"}, {"cab", "ababb", "bb"}};
  for (std::uint32_t trial = 0; trial < 2000; ++trial) {
    const auto& strings = sets[trial % sets.size()];
    const StopStrings stops(strings, vocabulary());
    StopStrings::State state = StopStrings::start();
    std::string text;
    std::optional<std::size_t> drop;
    for (std::uint32_t step = 0; step < 12 && !drop; ++step) {
      const int v = static_cast<int>(random_bits({3}, trial, LogicalId{step}, Purpose::synthetic) % 8);
      const std::string_view bytes = vocabulary().bytes(token(v));
      text += bytes;
      drop = stops.advance(&state, bytes);
    }
    EXPECT_EQ(text.substr(0, text.size() - drop.value_or(0)), test::cut_at_stop(text, strings).value_or(text)) << text;
  }
}

TEST(StopStrings, CompletingTokensAreThoseThatStop) {
  const std::vector<std::string> strings = {"abb", "c", "aa"};
  const StopStrings stops(strings, vocabulary());
  for (const std::string text : {"", "a", "ab", "bab", "b"}) {
    StopStrings::State state = StopStrings::start();
    ASSERT_FALSE(stops.advance(&state, text));
    const TokenMask& mask = stops.completing_tokens(state);
    for (int v = 0; v < vocabulary().size(); ++v) {
      StopStrings::State next = state;
      const bool completes = stops.advance(&next, vocabulary().bytes(token(v))).has_value();
      EXPECT_EQ(mask.test(token(v)), completes) << '\'' << text << "' + '" << vocabulary().bytes(token(v)) << '\'';
    }
    EXPECT_FALSE(mask.end);
  }
}

TEST(StopStrings, NoneNeverStops) {
  const StopStrings stops({}, vocabulary());
  StopStrings::State state = StopStrings::start();
  EXPECT_TRUE(stops.empty());
  EXPECT_FALSE(stops.advance(&state, "anything"));
}

}  // namespace
}  // namespace shoal::smc
