#include <gtest/gtest.h>

#include <algorithm>

#include "potential/support.hpp"

namespace shoal::test {
namespace {

TEST(RequiredElements, EachMissingOneCostsThePenalty) {
  const PotentialPtr potential = required_elements_potential({"alpha", "beta", "gamma"}, 2.0);

  EXPECT_EQ(log_complete(*potential, ""), -6.0);
  EXPECT_EQ(log_complete(*potential, "beta"), -4.0);
  EXPECT_EQ(log_complete(*potential, "beta gamma beta"), -2.0);
  EXPECT_EQ(log_complete(*potential, "gammabetalpha"), 0.0);
  EXPECT_EQ(log_prefix(*potential, "beta"), -4.0);
}

TEST(RequiredElements, InfinitePenaltyRequiresThemAllButOnlyAtTheEnd) {
  const PotentialPtr potential = required_elements_potential({"alpha", "beta"}, infinity);

  EXPECT_EQ(log_prefix(*potential, ""), 0.0);
  EXPECT_EQ(log_prefix(*potential, "alpha"), 0.0);
  EXPECT_EQ(log_complete(*potential, "alpha"), -infinity);
  EXPECT_EQ(log_complete(*potential, "beta or alpha"), 0.0);
}

TEST(RequiredElements, ZeroPenaltyIsNoCondition) {
  const PotentialPtr potential = required_elements_potential({"alpha"}, 0.0);

  EXPECT_EQ(log_complete(*potential, "x"), 0.0);
}

TEST(RequiredElements, MayOverlapAndHoldEachOther) {
  const PotentialPtr potential = required_elements_potential({"she", "he", "hers", "s"}, 1.0);

  EXPECT_EQ(log_complete(*potential, "she"), -1.0);
  EXPECT_EQ(log_complete(*potential, "shers"), 0.0);
  EXPECT_EQ(log_complete(*potential, "he"), -3.0);
}

TEST(RequiredElements, IgnoreTheCaseOfAsciiLettersOnly) {
  const PotentialPtr potential = required_elements_potential({"MPI", "é"}, 1.0);

  EXPECT_EQ(log_complete(*potential, "mpi É"), -1.0);
  EXPECT_EQ(log_complete(*potential, "Mpi é"), 0.0);
}

TEST(RequiredElements, AreFoundAcrossTokenBoundaries) {
  const PotentialPtr potential = required_elements_potential({"parallel"}, infinity);
  PotentialState state = potential->start();

  for (const char* piece : {"a para", "", "ll", "el"}) potential->advance(state, piece);

  EXPECT_EQ(potential->log_complete(state), 0.0);
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

TEST(RequiredElements, AgreeWithASearchForEachElement) {
  std::mt19937 generator(41);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::string> elements;
    for (int j = 0; j < 12; ++j) elements.push_back("x" + random_text(generator, 2));
    for (auto& element : elements) element.erase(0, generator() % 2 == 0 && element.size() > 1 ? 1 : 0);
    const PotentialPtr potential = required_elements_potential(elements, 1.0);
    for (int j = 0; j < 5; ++j) {
      const std::string text = random_text(generator, 30);
      const auto is_missing = [&](const std::string& e) { return lower(text).find(lower(e)) == std::string::npos; };
      const auto missing = std::count_if(elements.begin(), elements.end(), is_missing);
      ASSERT_EQ(log_complete(*potential, text), -static_cast<double>(missing)) << testing::PrintToString(text);
    }
  }
}

TEST(RequiredElements, MistakesEndInOneClearLine) {
  const auto with = [](std::vector<std::string> elements, double penalty) {
    return [=] { (void)required_elements_potential(elements, penalty); };
  };
  expect_error(with({}, 1.0), "no required elements (the list is empty) give at least one string");
  expect_error(with({"a", ""}, 1.0), "bad required element '' (it occurs in every text) give at least one character");
  expect_error(with({"a"}, -1.0),
               "bad penalty (not a number from 0 to 1e6) give such a number, or inf to require all elements");
  expect_error(with({"a"}, 1e308), "(not a number from 0 to 1e6)");
  expect_error(with({"a"}, std::nan("")), "(not a number from 0 to 1e6)");
}

TEST(ForbiddenContent, IsZeroAsSoonAsAStringOccurs) {
  const PotentialPtr potential = forbidden_content_potential({"as an AI", "language model"});

  EXPECT_EQ(log_prefix(*potential, "I, as an A"), 0.0);
  EXPECT_EQ(log_complete(*potential, "I, as an A"), 0.0);
  EXPECT_EQ(log_prefix(*potential, "I, As An ai"), -infinity);
  EXPECT_EQ(log_prefix(*potential, "I, as an AI, and so on"), -infinity);
  EXPECT_EQ(log_complete(*potential, "a language model"), -infinity);
}

TEST(ForbiddenContent, IsFoundAcrossTokenBoundaries) {
  const PotentialPtr potential = forbidden_content_potential({"as an AI"});
  PotentialState state = potential->start();

  for (const char* piece : {"Well, a", "s an", " A"}) potential->advance(state, piece);
  EXPECT_EQ(potential->log_prefix(state), 0.0);
  potential->advance(state, "Ib");
  EXPECT_EQ(potential->log_prefix(state), -infinity);
}

TEST(ForbiddenContent, AgreesWithASearchForEachString) {
  std::mt19937 generator(42);
  int zero = 0;
  for (int i = 0; i < 200; ++i) {
    std::vector<std::string> strings;
    for (int j = 0; j < 5; ++j) strings.push_back(random_text(generator, 2) + pieces()[generator() % pieces().size()]);
    const PotentialPtr potential = forbidden_content_potential(strings);
    for (int j = 0; j < 10; ++j) {
      const std::string text = random_text(generator, 6);
      const bool occurs = std::any_of(strings.begin(), strings.end(),
                                      [&](const auto& s) { return lower(text).find(lower(s)) != std::string::npos; });
      zero += occurs ? 1 : 0;
      ASSERT_EQ(log_prefix(*potential, text), occurs ? -infinity : 0.0) << testing::PrintToString(text);
      ASSERT_EQ(log_complete(*potential, text), occurs ? -infinity : 0.0);
    }
  }
  EXPECT_GT(zero, 200);
  EXPECT_LT(zero, 1800);
}

TEST(ForbiddenContent, OfEveryByteLeavesTheEmptyText) {
  std::vector<std::string> strings;
  for (int b = 0; b < 256; ++b) strings.emplace_back(1, static_cast<char>(b));
  const PotentialPtr potential = forbidden_content_potential(strings);
  const Vocabulary vocabulary({"a", "\xff", ""}, {token(2)});

  EXPECT_EQ(log_complete(*potential, ""), 0.0);
  EXPECT_EQ(log_prefix(*potential, "Z"), -infinity);
  EXPECT_EQ(potential->allowed(potential->start(), vocabulary)->bits[0], 0U);
  EXPECT_TRUE(potential->allowed(potential->start(), vocabulary)->end);
}

TEST(ForbiddenContent, MayHoldThousandsOfStrings) {
  std::mt19937 generator(43);
  std::vector<std::string> strings;
  for (int i = 0; i < 5000; ++i) strings.push_back("word" + std::to_string(generator()));
  const PotentialPtr potential = forbidden_content_potential(strings);

  EXPECT_EQ(log_prefix(*potential, "a word"), 0.0);
  EXPECT_EQ(log_prefix(*potential, "a " + strings[4321] + "!"), -infinity);
}

TEST(ForbiddenContent, OfTooManyStringsIsRefusedWithoutExhaustingMemory) {
  std::mt19937 generator(44);
  std::vector<std::string> strings(200'000);
  for (auto& s : strings)
    for (int i = 0; i < 20; ++i) s += static_cast<char>(generator());

  expect_error([&] { (void)forbidden_content_potential(strings); }, "too many strings to look for (their automaton");
}

TEST(ForbiddenContent, MistakesEndInOneClearLine) {
  expect_error([] { (void)forbidden_content_potential({}); },
               "no forbidden strings (the list is empty) give at least one string");
  expect_error([] { (void)forbidden_content_potential({""}); },
               "bad forbidden string '' (it occurs in every text) give at least one character");
}

TEST(Constraint, IsTheMinimumOfItsParts) {
  const PotentialPtr potential =
      constraint_potential({required_elements_potential({"a"}, 2.0), required_elements_potential({"b"}, 3.0),
                            length_potential(0, 4, LengthUnit::bytes)});

  EXPECT_EQ(log_complete(*potential, ""), -3.0);
  EXPECT_EQ(log_prefix(*potential, "b"), -2.0);
  EXPECT_EQ(log_complete(*potential, "ab"), 0.0);
  EXPECT_EQ(log_prefix(*potential, "ababa"), -infinity);
}

TEST(Constraint, MayHoldConstraints) {
  const PotentialPtr inner =
      constraint_potential({regex_potential("[a-c]*"), required_elements_potential({"b"}, infinity)});
  const PotentialPtr potential = constraint_potential({inner, forbidden_content_potential({"cc"}), inner});

  EXPECT_EQ(log_complete(*potential, "abc"), 0.0);
  EXPECT_EQ(log_complete(*potential, "ac"), -infinity);
  EXPECT_EQ(log_prefix(*potential, "abcc"), -infinity);
  EXPECT_EQ(log_prefix(*potential, "abd"), -infinity);
}

class ExpensivePotential final : public Potential {
 public:
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] PotentialState start() const override { return {}; }
  void advance(PotentialState&, std::string_view) const override {}
  [[nodiscard]] double log_prefix(const PotentialState&) const override { return 0.0; }
  [[nodiscard]] double log_complete(const PotentialState&) const override { return 0.0; }
  [[nodiscard]] Cost cost() const override { return Cost::expensive; }

 private:
  std::string name_ = "expensive";
};

TEST(Constraint, IsAsExpensiveAsItsDearestPart) {
  const PotentialPtr cheap = regex_potential("a");

  EXPECT_EQ(constraint_potential({cheap})->cost(), Cost::cheap);
  EXPECT_EQ(constraint_potential({cheap, std::make_shared<ExpensivePotential>()})->cost(), Cost::expensive);
}

TEST(Constraint, HasNoMaskWhereNoPartHasOne) {
  const Vocabulary vocabulary({"a"}, {});
  const PotentialPtr potential = constraint_potential({style_potential(formal_style())});

  EXPECT_EQ(potential->allowed(potential->start(), vocabulary), nullptr);
}

TEST(Constraint, WithoutPartsIsRefused) {
  expect_error([] { (void)constraint_potential({}, "both"); },
               "no parts in constraint 'both' (the list is empty) give at least one part");
}

}  // namespace
}  // namespace shoal::test
