#include "smc/growth.hpp"

#include <gtest/gtest.h>

#include "smc/decoding.hpp"
#include "smc/toy_worlds.hpp"

namespace shoal::smc {
namespace {

using test::Decoding;

void expect_same(const History& a, const History& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.updated_status(), b.updated_status());
  EXPECT_EQ(a.updated_log_weight(), b.updated_log_weight());
  EXPECT_EQ(a.increments, b.increments);
  EXPECT_EQ(a.expensive_increment, b.expensive_increment);
  EXPECT_EQ(a.values, b.values);
  EXPECT_EQ(a.states, b.states);
  if (a.status == Status::growing) {
    EXPECT_EQ(a.stop_state, b.stop_state);
  }
}

TEST(Growth, RestoreGivesBackTheStateOfTheEarlierToken) {
  for (const test::World& world : test::all_worlds()) {
    for (const std::uint32_t start : {0U, 1U, 2U}) {
      for (const std::uint32_t kept : {0U, 1U, 2U}) {
        Decoding cut(world);
        Decoding stopped(world);
        for (Decoding* each : {&cut, &stopped}) {
          each->advance(0, start);
          each->begin_batch();
        }
        cut.advance(start, start + 4);
        cut.decoder.cut(&cut.population, kept);
        cut.decoder.evaluate_expensive(&cut.population, start + kept);
        stopped.advance(start, start + kept);
        for (const LogicalId id : cut.population.ids()) expect_same(cut.population.at(id), stopped.population.at(id));
      }
    }
  }
}

TEST(Increment, RemembersTheFirstFactorOfZero) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  Increment increment(0.5, model_culprit);
  increment.add(-1.0, 0);
  increment.add(-inf, 1);
  increment.add(-inf, 2);
  EXPECT_EQ(increment.value(), -inf);
  EXPECT_EQ(increment.culprit(), 1);
}

}  // namespace
}  // namespace shoal::smc
