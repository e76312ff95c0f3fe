#include <gtest/gtest.h>

#include "potential/support.hpp"

namespace shoal::test {
namespace {

std::vector<std::string> random_samples(unsigned seed, int count) {
  std::mt19937 generator(seed);
  std::vector<std::string> samples{"", "Parallel processing runs many tasks at once. Thank you!", "as an AI"};
  for (int i = 0; i < count; ++i) samples.push_back(random_text(generator, 12));
  return samples;
}

TEST(SelfCheck, FindsNothingWrongWithAnyBuiltInKind) {
  const auto samples = random_samples(51, 100);
  for (const auto& [name, make] : all_kinds()) EXPECT_EQ(self_check(*make(), samples), "") << name;
  for (const Style& style : {formal_style(), technical_style(), creative_style()})
    EXPECT_EQ(self_check(*style_potential(style), samples), "") << style.name;
}

TEST(States, AreTheSameForEveryWayToCutTheText) {
  std::mt19937 generator(52);
  for (const auto& [name, make] : all_kinds()) {
    const PotentialPtr potential = make();
    for (int i = 0; i < 60; ++i) {
      const std::string text = random_text(generator, 10);
      PotentialState state = potential->start();
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = generator() % 4;
        potential->advance(state, std::string_view(text).substr(at, size));
        at += size;
      }
      ASSERT_EQ(state, state_after(*potential, text)) << name << " " << testing::PrintToString(text);
    }
  }
}

TEST(States, MeanTheSameToAnotherPotentialMadeTheSameWay) {
  std::mt19937 generator(53);
  const Vocabulary vocabulary = random_vocabulary(generator, 300, SingleBytes::all);
  for (const auto& [name, make] : all_kinds()) {
    SCOPED_TRACE(name);
    const PotentialPtr here = make();
    const PotentialPtr there = make();
    for (int i = 0; i < 10; ++i) {
      PotentialState state = state_after(*here, random_text(generator, 4));
      const std::string sent(state.data(), state.size());
      const std::string rest = random_text(generator, 4);
      expect_same(there->allowed(sent, vocabulary), here->allowed(state, vocabulary), vocabulary);
      PotentialState continued = sent;
      here->advance(state, rest);
      there->advance(continued, rest);
      ASSERT_EQ(state, continued);
      ASSERT_EQ(here->log_prefix(state), there->log_prefix(continued));
      ASSERT_EQ(here->log_complete(state), there->log_complete(continued));
    }
  }
}

TEST(States, OfAnotherPotentialAreRefused) {
  for (const auto& [name, make] : all_kinds()) {
    SCOPED_TRACE(name);
    const PotentialPtr potential = make();
    PotentialState longer = potential->start() + std::string(1, '\x7f');
    PotentialState garbage(potential->start().size(), '\x7f');
    PotentialState empty;
    for (PotentialState* state : {&longer, &garbage, &empty}) {
      expect_error([&] { (void)potential->log_prefix(*state); }, "(it belongs to another potential) resume with");
      expect_error([&] { (void)potential->log_complete(*state); }, "bad state of potential '");
      expect_error([&] { potential->advance(*state, "a"); }, "bad state of potential '");
    }
  }
}

/// Its state is the text; each score is a function of it.
class Mutant final : public Potential {
 public:
  using Score = std::function<double(const std::string&)>;
  Mutant(Score prefix, Score complete) : prefix_(std::move(prefix)), complete_(std::move(complete)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] PotentialState start() const override { return {}; }
  void advance(PotentialState& state, std::string_view bytes) const override { state += bytes; }
  [[nodiscard]] double log_prefix(const PotentialState& state) const override { return prefix_(state); }
  [[nodiscard]] double log_complete(const PotentialState& state) const override { return complete_(state); }

 private:
  std::string name_ = "mutant";
  Score prefix_;
  Score complete_;
};

/// Remembers how many tokens it was fed.
class TokenCounter final : public Potential {
 public:
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] PotentialState start() const override { return {}; }
  void advance(PotentialState& state, std::string_view) const override { state += 'x'; }
  [[nodiscard]] double log_prefix(const PotentialState& state) const override {
    return -static_cast<double>(state.size());
  }
  [[nodiscard]] double log_complete(const PotentialState&) const override { return 0.0; }

 private:
  std::string name_ = "counter";
};

double one(const std::string&) { return 0.0; }
double zero(const std::string&) { return -infinity; }

/// @p value where the text is @p bad, else 0.
Mutant::Score only(const std::string& bad, double value) {
  return [=](const std::string& text) { return text == bad ? value : 0.0; };
}

TEST(SelfCheck, FindsPlantedBreaches) {
  const std::vector<std::string> samples{"x", "abcd"};
  const auto check = [&](Mutant::Score prefix, Mutant::Score complete) {
    return self_check(Mutant(std::move(prefix), std::move(complete)), samples);
  };

  EXPECT_EQ(check(one, one), "");
  EXPECT_EQ(check(one, zero), "");
  EXPECT_EQ(check(only("ab", -infinity), zero),
            "potential 'mutant': log_prefix was -inf and is finite again after 3 bytes of 'abcd'");
  EXPECT_EQ(check(only("abcd", -infinity), one),
            "potential 'mutant': log_prefix is -inf but log_complete is finite after 4 bytes of 'abcd'");
  EXPECT_EQ(check(only("abc", std::nan("")), one),
            "potential 'mutant': log_prefix is NaN or +inf after 3 bytes of 'abcd'");
  EXPECT_EQ(check(one, only("a", std::nan(""))),
            "potential 'mutant': log_complete is NaN or +inf after 1 bytes of 'abcd'");
  EXPECT_EQ(check(only("a", infinity), one), "potential 'mutant': log_prefix is NaN or +inf after 1 bytes of 'abcd'");
  EXPECT_EQ(check(one, only("x", infinity)), "potential 'mutant': log_complete is NaN or +inf after 1 bytes of 'x'");
  EXPECT_EQ(check(zero, zero), "potential 'mutant': log_prefix of the empty text is -inf");
  EXPECT_NE(self_check(TokenCounter(), samples).find("scores depend on how the text is cut into tokens"),
            std::string::npos);
}

TEST(SelfCheck, SeesNothingWithoutSamples) { EXPECT_EQ(self_check(Mutant(zero, one), {}), ""); }

}  // namespace
}  // namespace shoal::test
