#include <gtest/gtest.h>

#include <numeric>

#include "potential/pcre2_oracle.hpp"
#include "potential/random_patterns.hpp"
#include "potential/support.hpp"

namespace shoal::test {
namespace {

PotentialPtr style_of(std::vector<StylePattern> patterns) { return style_potential({"test", std::move(patterns)}); }

/// Matches of one pattern in a finished text.
double count(const std::string& pattern, const std::string& text) {
  return log_complete(*style_of({{pattern, 1.0, 1000}}), text);
}

TEST(Style, AddsTheWeightOfEachMatch) {
  const PotentialPtr style = style_of({{"cat", 0.5, 3}, {"dog", -0.25, 3}});

  EXPECT_EQ(log_complete(*style, ""), 0.0);
  EXPECT_EQ(log_complete(*style, "a cat"), 0.5);
  EXPECT_EQ(log_complete(*style, "a cat, a dog, a cat"), 0.75);
}

TEST(Style, NotYetShownIsNotAZero) {
  for (const Style& style : {conversational_style(), formal_style(), technical_style(), creative_style()}) {
    const PotentialPtr potential = style_potential(style);
    EXPECT_EQ(potential->log_prefix(potential->start()), 0.0);
    EXPECT_EQ(potential->log_complete(potential->start()), 0.0);
    EXPECT_GT(log_prefix(*potential, "zzz qqq"), -infinity);
  }
}

TEST(Style, CountsAPatternAtMostMaxCountTimes) {
  const PotentialPtr style = style_of({{"x", 1.0, 2}});

  EXPECT_EQ(log_prefix(*style, "x"), 1.0);
  EXPECT_EQ(log_prefix(*style, "xx"), 2.0);
  EXPECT_EQ(log_prefix(*style, "xxxxx"), 2.0);
  EXPECT_EQ(log_complete(*style, "xxxxx"), 2.0);
}

TEST(Style, OfAMatchThatTheEndCompletesRespectsMaxCount) {
  const PotentialPtr style = style_of({{"x\\b", 1.0, 1}});

  EXPECT_EQ(log_complete(*style, "x x"), 1.0);
  EXPECT_EQ(log_complete(*style, "x"), 1.0);
}

TEST(Style, IgnoresCaseUnlessToldOtherwise) {
  EXPECT_EQ(count("hello", "HELLO Hello hello"), 3.0);
  EXPECT_EQ(count("(?-i)hello", "HELLO Hello hello"), 1.0);
  EXPECT_EQ(count("élan", "ÉLAN"), 1.0);
}

TEST(Style, MatchesOfOnePatternDoNotOverlap) {
  EXPECT_EQ(count("aba", "ababa"), 1.0);
  EXPECT_EQ(count("aa", "aaaa"), 2.0);
}

TEST(Style, PatternsDoNotSeeEachOthersMatches) {
  const PotentialPtr style = style_of({{"good morning", 1.0, 3}, {"morning", 1.0, 3}, {"ning", 1.0, 3}});

  EXPECT_EQ(log_complete(*style, "Good morning"), 3.0);
}

TEST(Style, AMatchCountsAsSoonAsItCanEnd) {
  EXPECT_EQ(count("\\d+", "123 4"), 4.0);
  EXPECT_EQ(count("\\b\\d+\\b", "123 4"), 2.0);
}

TEST(Style, ConditionsOnWhatFollowsAreSettledByTheNextByteOrTheEnd) {
  const PotentialPtr word = style_of({{"\\bhi\\b", 1.0, 3}});
  EXPECT_EQ(log_prefix(*word, "hi"), 0.0);
  EXPECT_EQ(log_complete(*word, "hi"), 1.0);
  EXPECT_EQ(log_prefix(*word, "hi "), 1.0);
  EXPECT_EQ(log_complete(*word, "hit"), 0.0);

  const PotentialPtr last = style_of({{"[.!?]$", 1.0, 3}});
  EXPECT_EQ(log_prefix(*last, "One. Two."), 0.0);
  EXPECT_EQ(log_complete(*last, "One. Two."), 1.0);

  const PotentialPtr first = style_of({{"^dear", 1.0, 3}});
  EXPECT_EQ(log_complete(*first, "Dear dear"), 1.0);
}

/// Matches that end by @p stop: always the next one to end among those that begin after the one before, by PCRE2.
int count_by_pcre2(Pcre2Oracle* oracle, const std::string& text, std::size_t stop) {
  int found = 0;
  std::size_t previous = 0;
  for (std::size_t end = 1; end <= stop; ++end) {
    for (std::size_t start = previous; start < end; ++start) {
      if (!oracle->matches_between(text, start, end)) continue;
      ++found;
      previous = end;
      break;
    }
  }
  return found;
}

TEST(Style, CountsTheMatchesThatPcre2Finds) {
  RandomPatterns random({"a", "b", "é", "1", " ", "[ab]", "[^a]", ".", "\\w", "(?:\\b)", "(?:\\B)", "(?:^)", "(?:$)",
                         "(?m:^)", "(?m:$)", "(?-i:A)"},
                        {"*", "+", "?", "{2}", "{1,3}", "*?"}, 21);
  const Words letters{"a", "b", "A", "é", "1", " ", "\n"};
  int total = 0;
  for (int i = 0; i < 500; ++i) {
    const std::string pattern = random.make(3);
    PotentialPtr style;
    const std::string error = error_of([&] { style = style_of({{pattern, 1.0, 1000}}); });
    if (!error.empty()) {
      ASSERT_NE(error.find("matches no text"), std::string::npos) << error;
      continue;
    }
    Pcre2Oracle oracle(pattern, PCRE2_CASELESS);
    for (int j = 0; j < 10; ++j) {
      const std::string text = random.text(letters, 10);
      SCOPED_TRACE(pattern + " on " + testing::PrintToString(text));
      const int expected = count_by_pcre2(&oracle, text, text.size());
      ASSERT_EQ(log_complete(*style, text), expected);
      total += expected;
      if (text.empty() || (static_cast<unsigned char>(text.back()) & 0x80) != 0) continue;
      const int settled = count_by_pcre2(&oracle, text, text.size() - 1);
      ASSERT_GE(log_prefix(*style, text), settled);
      ASSERT_LE(log_prefix(*style, text), expected);
    }
  }
  EXPECT_GT(total, 2000);
}

TEST(Style, LogWeightsTelescopeToTheScoreOfTheText) {
  std::mt19937 generator(22);
  for (const Style& style : {conversational_style(), formal_style(), technical_style(), creative_style()}) {
    const PotentialPtr potential = style_potential(style);
    const std::string text =
        "Hello! The algorithm's cache is like a golden dream; therefore, you shall not wait... ok?";
    PotentialState state = potential->start();
    double sum = potential->log_prefix(state);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + generator() % 5;
      const double before = potential->log_prefix(state);
      potential->advance(state, std::string_view(text).substr(at, size));
      sum += potential->log_prefix(state) - before;
      at += size;
    }
    sum += potential->log_complete(state) - potential->log_prefix(state);
    EXPECT_NEAR(sum, log_complete(*potential, text), 1e-12) << style.name;
  }
}

TEST(Style, OfPositiveWeightsNeverFalls) {
  std::mt19937 generator(23);
  Style style = conversational_style();
  std::erase_if(style.patterns, [](const auto& pattern) { return pattern.log_weight < 0; });
  const PotentialPtr potential = style_potential(style);
  for (int i = 0; i < 50; ++i) {
    PotentialState state = potential->start();
    double before = 0.0;
    for (int j = 0; j < 30; ++j) {
      potential->advance(state, j % 3 == 0 ? "Hello, thanks " : random_text(generator, 2));
      ASSERT_GE(potential->log_prefix(state), before);
      ASSERT_GE(potential->log_complete(state), potential->log_prefix(state));
      before = potential->log_prefix(state);
    }
  }
}

TEST(Style, BuiltInsPreferTheirOwnManner) {
  const std::vector<std::pair<Style, std::string>> texts{
      {conversational_style(), "Hi! Sure, I'm happy to help you. Does that make sense? Let me know!"},
      {formal_style(), "In conclusion, the committee shall therefore proceed in accordance with the regulations."},
      {technical_style(), "The algorithm allocates 64 KiB of cache per thread, i.e. `malloc(size)` on the CPU."},
      {creative_style(),
       "The moon drifted like a silver dream beneath the endless sky... “Imagine,” whispered the wind."},
  };
  for (const auto& [style, own] : texts) {
    const PotentialPtr potential = style_potential(style);
    for (const auto& [other, text] : texts) {
      if (other.name == style.name) continue;
      EXPECT_GT(log_complete(*potential, own), log_complete(*potential, text) + 0.5) << style.name << ": " << text;
    }
  }
}

TEST(Style, BuiltInsAreBounded) {
  for (const Style& style : {conversational_style(), formal_style(), technical_style(), creative_style()}) {
    double most = 0.0;
    for (const auto& pattern : style.patterns) most += std::max(0.0, pattern.log_weight * pattern.max_count);
    EXPECT_LT(most, 25.0) << style.name;
    EXPECT_EQ(load_style(style.name).patterns.size(), style.patterns.size());
  }
}

TEST(Style, FileGivesPatternsAndDefaults) {
  const TemporaryFile file(R"({"name": "pirate", "patterns": [
    {"pattern": "\\barr+\\b", "log_weight": 1.5}, {"pattern": "ship", "log_weight": -0.5, "max_count": 1}]})");

  const Style style = load_style(file.path());

  EXPECT_EQ(style.name, "pirate");
  ASSERT_EQ(style.patterns.size(), 2U);
  EXPECT_EQ(style.patterns[0].pattern, "\\barr+\\b");
  EXPECT_EQ(style.patterns[0].log_weight, 1.5);
  EXPECT_EQ(style.patterns[0].max_count, 3);
  EXPECT_EQ(style.patterns[1].max_count, 1);
  EXPECT_EQ(log_complete(*style_potential(style), "Arrr, ship, ship!"), 1.0);
}

TEST(Style, FileMistakesEndInOneClearLine) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", "(not JSON at line 1, column 1) check quotes, commas and brackets there"},
      {"{\"patterns\": [\n  {\"pattern\": \"a\",,}]}", "(not JSON at line 2, column 19)"},
      {"{\"patterns\": [", "(not JSON at line 1, column 15)"},
      {"[]", "(an array where an object is needed) write {...}"},
      {"{}", "missing key 'patterns' in style file "},
      {R"({"patterns": []})", ".patterns (it is empty) give at least one pattern"},
      {R"({"patterns": {}})", ".patterns (an object where an array is needed) correct the file"},
      {R"({"patterns": [], "nmae": "x"})", "unknown key 'nmae' in style file "},
      {R"({"patterns": [], "name": 3})", ".name (a whole number where a string is needed) correct the file"},
      {R"({"patterns": [3]})", "patterns[0] (a whole number where an object is needed) write {...}"},
      {R"({"patterns": [{"pattern": "a"}]})", "missing key 'log_weight' in style file "},
      {R"({"patterns": [{"log_weight": 1}]})", "patterns[0] (it is needed) add it"},
      {R"({"patterns": [{"pattern": "a", "log_weight": "1"}]})", "log_weight (a string where a number is needed)"},
      {R"({"patterns": [{"pattern": "a", "log_weight": 1e999}]})", "(a number is too large) give numbers below 1e308"},
      {R"({"patterns": [{"pattern": "a", "log_weight": 1, "max_count": 1.5}]})",
       "max_count (a number where a whole number is needed)"},
      {R"({"patterns": [{"pattern": "a", "log_weight": 1, "max_count": 99999999999}]})", "max_count (out of range)"},
      {R"({"patterns": [], "patterns": []})", "(key 'patterns' appears twice in one object) remove one of them"},
      {"{\"patterns\": [{\"pattern\": \"\xff\"}]}", "(not JSON at line 1, column 28)"},
  };
  for (const auto& [json, message] : table) {
    SCOPED_TRACE(json);
    const TemporaryFile file(json);
    expect_error([&] { (void)load_style(file.path()); }, message);
    expect_error([&] { (void)load_style(file.path()); }, file.path());
  }
}

TEST(Style, UnknownNameListsTheBuiltInStyles) {
  expect_error([] { (void)load_style("poetic"); },
               "bad style 'poetic' (neither a built-in style nor a file) choose one of conversational, formal, "
               "technical, creative or give a JSON file");
  expect_error([] { (void)load_style(testing::TempDir()); }, "(the file cannot be read) give a readable JSON file");
}

TEST(Style, BadPatternsAreRefusedWithTheirStyle) {
  const auto refuse = [](StylePattern pattern, const std::string& message) {
    expect_error([&] { (void)style_of({pattern}); }, message);
  };
  refuse({"(a", 1.0}, "style 'test': bad regex '(a': missing ) (at position 1) close the group");
  refuse({"\\b", 1.0}, "style 'test': bad regex '\\b': matches no text of one or more bytes (nothing to count)");
  refuse({"a^b", 1.0}, "matches no text of one or more bytes");
  refuse({"a.{30}b.{30}c", 1.0}, "reduce the repetition {30} at position 3");
  refuse({"a", infinity}, "bad pattern 'a' of style 'test' (log_weight is not a number from -1e6 to 1e6)");
  refuse({"a", -1e308}, "(log_weight is not a number from -1e6 to 1e6)");
  refuse({"a", std::nan("")}, "(log_weight is not a number from -1e6 to 1e6)");
  refuse({"a", 1.0, 0}, "bad pattern 'a' of style 'test' (max_count 0 is out of range) give 1 to 65535");
  refuse({"a", 1.0, 65'536}, "(max_count 65536 is out of range)");
  expect_error([] { (void)style_of({}); }, "bad style 'test' (it has no patterns) give at least one pattern");
}

}  // namespace
}  // namespace shoal::test
