// The exact posterior against one worked out by hand.
#include "app/exact_posterior.hpp"

#include <gtest/gtest.h>

#include "app/program.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

using Posterior = std::map<std::string, double>;

/// a: 1/2, b: 1/4, end: 1/4, whatever came before.
std::shared_ptr<const LanguageModel> coin(const test::TemporaryFolder& folder) {
  return load_model("tabular:" + folder.write("coin.json", R"({"tokens": ["a", "b", "."], "end": ".",
                                                              "table": {"": {"a": 0.5, "b": 0.25, ".": 0.25}}})"));
}

void expect_near(const Posterior& found, const Posterior& expected) {
  for (const auto& [text, p] : expected) {
    ASSERT_TRUE(found.contains(text)) << text;
    EXPECT_NEAR(found.at(text), p, 1e-6) << text;
  }
  EXPECT_EQ(found.size(), expected.size());
}

TEST(ExactPosterior, OfTheModelAlone) {
  const test::TemporaryFolder folder;
  smc::Options options;
  options.max_tokens = 1;

  // 1/4, 1/2 * 1/4, 1/4 * 1/4: what does not end after one token is lost.
  expect_near(exact_posterior(*coin(folder), {}, {}, options), {{"", 4.0 / 7}, {"a", 2.0 / 7}, {"b", 1.0 / 7}});
}

TEST(ExactPosterior, UnderPotentials) {
  const test::TemporaryFolder folder;
  const std::vector<PotentialPtr> potentials{regex_potential("a+b?"), length_potential(2, 2, LengthUnit::bytes)};
  smc::Options options;
  options.max_tokens = 5;

  expect_near(exact_posterior(*coin(folder), {}, potentials, options), {{"aa", 2.0 / 3}, {"ab", 1.0 / 3}});
}

TEST(ExactPosterior, AtATemperature) {
  const test::TemporaryFolder folder;
  smc::Options options;
  options.max_tokens = 1;
  options.temperature = 0.5;

  // a: 4/6, b: 1/6, end: 1/6.
  expect_near(exact_posterior(*coin(folder), {}, {}, options), {{"", 6.0 / 11}, {"a", 4.0 / 11}, {"b", 1.0 / 11}});
}

TEST(ExactPosterior, RefusesWhatItCannotDo) {
  const test::TemporaryFolder folder;
  const auto model = coin(folder);
  const std::vector<PotentialPtr> impossible{regex_potential("c")};
  smc::Options options;
  options.max_tokens = 40;

  EXPECT_THROW((void)exact_posterior(*model, {}, {}, options), UsageError);
  EXPECT_THROW((void)exact_posterior(*model, {}, impossible, options), UsageError);
  options.top_k = 1;
  EXPECT_THROW(check_enumerable(*model, options), UsageError);
}

TEST(TotalVariation, IsHalfTheDifference) {
  EXPECT_DOUBLE_EQ(total_variation({{"a", 0.5}, {"b", 0.5}}, {{"a", 0.5}, {"b", 0.5}}), 0.0);
  EXPECT_DOUBLE_EQ(total_variation({{"a", 1.0}}, {{"b", 1.0}}), 1.0);
  EXPECT_DOUBLE_EQ(total_variation({{"a", 0.75}, {"b", 0.25}}, {{"a", 0.5}, {"c", 0.5}}), 0.5);
}

}  // namespace
}  // namespace shoal::app
