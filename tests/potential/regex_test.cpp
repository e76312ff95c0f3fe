#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "potential/code_points.hpp"
#include "potential/pcre2_oracle.hpp"
#include "potential/random_patterns.hpp"
#include "potential/support.hpp"

namespace shoal::test {
namespace {

bool viable(const Potential& potential, std::string_view text) {
  return potential.log_prefix(state_after(potential, text)) == 0.0;
}

bool matches(const Potential& potential, std::string_view text) {
  return potential.log_complete(state_after(potential, text)) == 0.0;
}

std::string error_of(const std::string& pattern) {
  return test::error_of([&] { (void)regex_potential(pattern); });
}

/// In groups, since PCRE2 repeats nothing else that has no width.
const Words assertions{"(?:^)", "(?:$)", "(?:\\b)", "(?:\\B)", "(?:\\A)", "(?:\\z)", "(?m:^)", "(?m:$)"};

Words with_assertions(Words atoms) {
  atoms.insert(atoms.end(), assertions.begin(), assertions.end());
  return atoms;
}

const Words atoms{"a",         "b",       "é",      "1",           " ",      "\\n",  ".",       "(?s:.)",
                  "[ab]",      "[^a]",    "[b-é]",  "\\d",         "\\D",    "\\w",  "\\W",     "\\s",
                  "\\S",       "(?i:A)",  "(?i:É)", "[[:alpha:]]", "\\p{L}", "\\PL", "[\\d€-]", "\\x61",
                  "\\x{20ac}", "[^\\W1]", "(?i)b",  "\\.",         "[]a]",   "(?:)"};
const Words repeats{"*", "+", "?", "{2}", "{1,}", "{0,2}", "{1,3}", "*?", "+?", "??", "{1,2}?"};
const Words letters{"a", "b", "A", "B", "é", "É", "1", " ", "\n", "€", "_", "."};

void compare_with_pcre2(const Words& leaves, unsigned seed, int patterns) {
  RandomPatterns random(leaves, repeats, seed);
  int positive = 0;
  for (int i = 0; i < patterns; ++i) {
    const std::string pattern = random.make(3);
    Pcre2Oracle oracle(pattern);
    PotentialPtr potential;
    try {
      potential = regex_potential(pattern);
    } catch (const UsageError& error) {
      ASSERT_NE(std::string(error.what()).find("matches no text"), std::string::npos) << error.what();
    }
    for (int j = 0; j < 20; ++j) {
      const std::string text = random.text(letters, 7);
      const auto expected = oracle.matches_all(text);
      if (!expected) continue;
      positive += *expected;
      ASSERT_EQ(potential ? matches(*potential, text) : false, *expected)
          << "pattern " << pattern << " text " << testing::PrintToString(text);
    }
  }
  EXPECT_GT(positive, patterns / 2);
}

TEST(Regex, MatchesWhatPcre2Matches) { compare_with_pcre2(atoms, 1, 2000); }
TEST(Regex, AssertionsMatchWhatPcre2Matches) { compare_with_pcre2(with_assertions(atoms), 2, 2000); }

/// Calls visit for every concatenation of up to @p longest letters, until it returns true.
bool any_word(const Words& alphabet, int longest, const std::function<bool(const std::string&)>& visit,
              const std::string& word = "") {
  if (visit(word)) return true;
  if (longest == 0) return false;
  for (const auto& letter : alphabet)
    if (any_word(alphabet, longest - 1, visit, word + letter)) return true;
  return false;
}

/// Ends of the code point that @p text breaks off in; the alphabet's é is its only character of two bytes.
std::string cut_character(const std::string& text) { return !text.empty() && text.back() == '\xc3' ? "\xa9" : ""; }

/// A shortest text that completes @p state, of the pieces given; empty when there is none.
std::optional<std::string> completion(const Potential& potential, const PotentialState& state, const Words& of) {
  std::map<PotentialState, std::string> known{{state, ""}};
  std::deque<PotentialState> pending{state};
  for (; !pending.empty(); pending.pop_front()) {
    const std::string so_far = known.at(pending.front());
    if (potential.log_complete(pending.front()) == 0.0) return so_far;
    for (const auto& piece : of) {
      PotentialState next = pending.front();
      potential.advance(next, piece);
      if (known.try_emplace(next, so_far + piece).second) pending.push_back(next);
    }
  }
  return std::nullopt;
}

TEST(Regex, PrefixIsViableExactlyWhenSomeCompletionMatches) {
  const Words alphabet{"a", "b", "é"};
  const Words bytes{"a", "b", "\xc3", "\xa9"};
  RandomPatterns random({"a", "b", "é", "[ab]", "[^a]", ".", "(?:\\b)", "(?:$)", "(?:^)", "(?:\\B)"},
                        {"*", "?", "+", "{2}"}, 3);
  int dead = 0;
  int alive = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string pattern = random.make(3);
    Pcre2Oracle oracle(pattern);
    if (!error_of(pattern).empty()) continue;
    const PotentialPtr potential = regex_potential(pattern);
    for (int j = 0; j < 6; ++j) {
      std::string prefix = random.text(alphabet, 4);
      if (j % 2 == 1 && !prefix.empty()) prefix.pop_back();
      SCOPED_TRACE(pattern + " prefix " + testing::PrintToString(prefix));
      if (viable(*potential, prefix)) {
        ++alive;
        const auto rest = completion(*potential, state_after(*potential, prefix), bytes);
        ASSERT_TRUE(rest);
        ASSERT_TRUE(oracle.matches_all(prefix + *rest).value()) << *rest;
      } else {
        ++dead;
        ASSERT_FALSE(any_word(alphabet, 5, [&](const std::string& rest) {
          return oracle.matches_all(prefix + cut_character(prefix) + rest).value();
        }));
      }
    }
  }
  EXPECT_GT(alive, 200);
  EXPECT_GT(dead, 200);
}

TEST(Regex, SentenceEndingStaysViableWithinTheSentence) {
  const PotentialPtr potential = regex_potential(R"(.*[.!?]$)");

  EXPECT_TRUE(viable(*potential, "Parallel proc"));
  EXPECT_FALSE(matches(*potential, "Parallel proc"));
  EXPECT_TRUE(matches(*potential, "Parallel processing."));
  EXPECT_TRUE(viable(*potential, "Parallel processing. And"));
  EXPECT_FALSE(viable(*potential, "two\nlines"));
  EXPECT_TRUE(matches(*regex_potential(R"((?s).*[.!?]$)"), "two\nlines!"));
}

TEST(Regex, InvalidUtf8IsDeadAndCutCharactersAreViable) {
  const PotentialPtr any = regex_potential("(?s).*");

  for (const std::string valid : {"\xe2", "\xe2\x82", "\xf0\x9f\x98", "\xc3"}) {
    EXPECT_TRUE(viable(*any, valid));
    EXPECT_FALSE(matches(*any, valid));
  }
  for (const std::string invalid :
       {"\x80", "\xc0\x80", "\xc1", "\xe0\x80", "\xed\xa0", "\xf4\x90", "\xf5", "\xff", "\xc3z"})
    EXPECT_FALSE(viable(*any, invalid)) << testing::PrintToString(invalid);
}

TEST(Regex, ReadsTheSyntaxOfRe2) {
  const std::vector<std::array<std::string, 3>> table{
      // pattern, a match, no match
      {"\\x41\\x{1F600}", "A\xF0\x9F\x98\x80", "A"},
      {"\\Qa.b*\\E+", "a.b**", "aXb"},
      {"a\\Q\\Eb", "ab", "aQEb"},
      {"\\101\\0", std::string("A\0", 2), "A"},
      {"\\a\\f\\t\\r\\v", "\a\f\t\r\v", "aftrv"},
      {"x{,2}", "x{,2}", "xx"},
      {"x{a}", "x{a}", "x"},
      {"{", "{", "}"},
      {"a]}", "a]}", "a"},
      {"(?P<year>\\d{4})-(?<m>\\d\\d)", "2024-05", "2024-5"},
      {"(?i)straße|KELVIN", "STRASSE", "x"},
      {"(?i)k", "\xE2\x84\xAA", "j"},
      {"(?i)i", "I", "\xC4\xB0"},
      {"(?i:a)b", "Ab", "AB"},
      {"(?i)a(?-i)b", "Ab", "AB"},
      {"(a(?i)b|c)d", "Cd", "CD"},
      {"(?is).x", "\nX", "x"},
      {"(?U)a+?", "aa", ""},
      {"(?m)a$\\n^b", "a\nb", "a b"},
      {"\\p{Greek}+", "αβγ", "abc"},
      {"\\p{Lu}\\p{Ll}", "Éé", "éé"},
      {"\\P{L}", "1", "a"},
      {"\\p{^L}", "1", "a"},
      {"\\pN", "٣", "a"},
      {"\\p{Any}", "\xF4\x8F\xBF\xBF", ""},
      {"[[:^alpha:]]", "1", "a"},
      {"[[:word:]-]", "-", " "},
      {"[^[:space:]x]", "é", "x"},
      {"[a\\]]", "]", "\\"},
      {"[\\x{3b1}-\\x{3c9}]", "λ", "l"},
      {"[-a]", "-", "b"},
      {"[+--]", ",", "/"},
      {"\\bfoo\\b.*", "foo bar", "food"},
      {"\\w+\\b\\W\\b\\w+", "a b", "a  b"},
      {"a\\Bb", "ab", "a"},
      {"\\As\\z", "s", "ss"},
      {"(?:a|)(?:|b)", "", "ba"},
      {"|a", "", "b"},
      {"(a*)*", "aaa", "b"},
      {"((a?){3}){2}", "aaaaaa", "aaaaaaa"},
      {"\\-\\_\\ \\é?", "", ""},
  };
  for (const auto& [pattern, match, other] : table) {
    if (pattern == "\\-\\_\\ \\é?") {
      EXPECT_NE(error_of(pattern), "");
      continue;
    }
    SCOPED_TRACE(pattern);
    ASSERT_EQ(error_of(pattern), "");
    if (match != "STRASSE") {
      EXPECT_TRUE(matches(*regex_potential(pattern), match));
    }
    EXPECT_FALSE(matches(*regex_potential(pattern), other));
  }
}

TEST(Regex, SyntaxErrorsNameTheirPosition) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"a(b", "bad regex 'a(b': missing ) (at position 2) close the group"},
      {"a)b", "bad regex 'a)b': unmatched ) (at position 2) escape it as \\)"},
      {"é[a-", "missing ] (at position 2)"},
      {"[z-a]", "range out of order (at position 2)"},
      {"[a-\\d]", "bad range (at position 2)"},
      {"[[:foo:]]", "unknown class [:foo:] (at position 2)"},
      {"*a", "nothing to repeat before * (at position 1)"},
      {"a|+", "nothing to repeat before + (at position 3)"},
      {"{2}", "nothing to repeat before { (at position 1)"},
      {"a**", "repetition of a repetition (at position 3)"},
      {"a{2}{3}", "repetition of a repetition (at position 5)"},
      {"a*+", "possessive repetition (at position 3)"},
      {"a++", "possessive repetition (at position 3)"},
      {"a{3,2}", "repetition bounds out of order (at position 2)"},
      {"a{99999999999}", "repetition count too large (at position 2)"},
      {"x(?=y)", "look-around (at position 2)"},
      {"(?!y)", "look-around (at position 1)"},
      {"(?<=y)z", "look-around (at position 1)"},
      {"(?<!y)z", "look-around (at position 1)"},
      {"(?>a)", "atomic group (at position 1)"},
      {"(a)\\1", "back-reference (at position 4)"},
      {"(?P<n>a)(?P=n)", "back-reference, condition or recursion (at position 9)"},
      {"(?P<n>a)(?P<n>b)", "group name used twice (at position 13)"},
      {"(?P<>a)", "bad group name (at position 1)"},
      {"\\k<n>", "back-reference (at position 1)"},
      {"(?R)", "back-reference, condition or recursion (at position 1)"},
      {"(?1)", "back-reference, condition or recursion (at position 1)"},
      {"(?#c)", "comment (at position 1)"},
      {"(?x)a", "unknown flag or group (at position 3)"},
      {"(?)", "empty flags (at position 1)"},
      {"(?i", "missing ) (at position 1)"},
      {"a\\", "backslash at the end (at position 2)"},
      {"\\y", "unknown escape \\y (at position 1)"},
      {"ab\\Z", "unknown escape \\Z (at position 3) use \\z"},
      {"\\p{Klingon}", "unknown Unicode class 'Klingon' (at position 1)"},
      {"\\p", "bad \\p (at position 1)"},
      {"\\x{110000}", "code point too large (at position 1)"},
      {"\\x{d800}", "surrogate (at position 1)"},
      {"\\xg", "bad \\x (at position 1)"},
      {"ab\xff", "not valid UTF-8 (at position 3)"},
      {"[^\\x{0}-\\x{10FFFF}]", "matches no text at all"},
      {"a^b", "matches no text at all"},
      {"a\n(", "bad regex 'a\\x0a(': missing ) (at position 3)"},
  };
  for (const auto& [pattern, message] : table) {
    const std::string error = error_of(pattern);
    EXPECT_NE(error.find(message), std::string::npos) << pattern << " gave: " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos);
  }
}

TEST(Regex, OversizedPatternsAreRefusedAtOnce) {
  std::string nested(100'000, '(');
  const std::vector<std::pair<std::string, std::string>> table{
      {"x(a{1000}){1000}", "reduce the repetition {1000} at position 4"},
      {"((((){1000}){1000}){1000}){1000}", "reduce the repetition {1000} at position 6"},
      {".*a.{30}", "reduce the repetition {30} at position 5"},
      {"(?:.*a.*b){0,40}c.{25}", "reduce the repetition {0,40} at position 11"},
      {"(\\pL|\\pN){20000}", "reduce the repetition {20000} at position 10"},
      {nested, "groups nested too deeply (at position 251)"},
      {nested + std::string(100'000, ')'), "groups nested too deeply (at position 251)"},
  };
  const auto before = std::chrono::steady_clock::now();
  for (const auto& [pattern, message] : table) {
    const std::string error = error_of(pattern);
    EXPECT_NE(error.find(message), std::string::npos) << error;
    EXPECT_LT(error.size(), 300U);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(50));
}

TEST(Regex, LongCountedRepetitionsWork) {
  const PotentialPtr potential = regex_potential("[a-z]{2,20000}");

  EXPECT_TRUE(matches(*potential, std::string(20'000, 'q')));
  EXPECT_FALSE(viable(*potential, std::string(20'001, 'q')));
}

TEST(Regex, CaseFoldingAgreesWithPcre2) {
  CodePointSet checked{{0, 0x5ff}, {0x1e00, 0x1fff}, {0x2100, 0x2190}, {0x24b0, 0x24f0}, {0xff20, 0xff60}};
  const CodePointSet all = checked.case_folded();
  for (std::uint32_t c = 0x41; c < 0x500; ++c) {
    if (c >= 0x80 && c < 0xa0) continue;
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "\\x{%x}", static_cast<unsigned>(c));
    Pcre2Oracle oracle(text.data(), PCRE2_CASELESS);
    const CodePointSet folded = CodePointSet{{c, c}}.case_folded();
    for (const std::uint32_t other : {c - 32, c + 32, c - 1, c + 1, c + 8, c - 8, 0x212aU, 0x212bU, 0x2126U, 0x17fU}) {
      const std::string utf8 = [&] {
        std::string out;
        for (const auto& s : utf8_sequences(CodePointSet{{other, other}}))
          for (int i = 0; i < s.size; ++i) out += static_cast<char>(s.ranges[static_cast<std::size_t>(i)].first);
        return out;
      }();
      EXPECT_EQ(folded.contains(other), oracle.matches_all(utf8).value()) << std::hex << c << " and " << other;
    }
  }
}

TEST(CodePoints, ComplementOfAComplementIsTheSet) {
  std::mt19937 generator(7);
  for (int i = 0; i < 200; ++i) {
    CodePointSet set;
    for (int j = 0; j < 10; ++j) {
      const std::uint32_t first = generator() % 0x110000;
      set.add({first, std::min<std::uint32_t>(0x10ffff, first + generator() % 5000)});
    }
    const CodePointSet twice = set.complement().complement();
    ASSERT_TRUE(std::equal(set.ranges().begin(), set.ranges().end(), twice.ranges().begin(), twice.ranges().end()));
    for (int j = 0; j < 50; ++j) {
      const std::uint32_t c = generator() % 0x110000;
      if (c >= 0xd800 && c <= 0xdfff) continue;
      ASSERT_NE(set.contains(c), set.complement().contains(c));
    }
  }
}

TEST(CodePoints, SequencesCoverEveryScalarValueOnce) {
  std::size_t total = 0;
  for (const auto& s : utf8_sequences(CodePointSet{{0, 0x10ffff}})) {
    std::size_t product = 1;
    for (int i = 0; i < s.size; ++i) {
      const auto& range = s.ranges[static_cast<std::size_t>(i)];
      product *= static_cast<std::size_t>(range.last - range.first + 1);
    }
    total += product;
  }
  EXPECT_EQ(total, 0x110000U - 0x800U);
}

}  // namespace
}  // namespace shoal::test
