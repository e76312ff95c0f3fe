// Random input never crashes: it gives a potential that passes the self-check, or one clear line. Each test runs for
// half a second; SHOAL_FUZZ_SECONDS makes it longer.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "potential/job_file.hpp"
#include "potential/support.hpp"

namespace shoal::test {
namespace {

using Strings = std::vector<std::string>;

const std::string& pick(const Strings& from, std::mt19937& generator) { return from[generator() % from.size()]; }

void fuzz(unsigned seed, const std::function<void(std::mt19937&)>& once) {
  const char* seconds = std::getenv("SHOAL_FUZZ_SECONDS");
  const std::chrono::duration<double> budget(seconds != nullptr ? std::atof(seconds) : 0.5);
  const auto begin = std::chrono::steady_clock::now();
  for (std::mt19937 generator(seed); std::chrono::steady_clock::now() - begin < budget && !testing::Test::HasFailure();)
    once(generator);
}

/// Makes a potential of @p input, which is printed if anything but a UsageError comes of it.
void expect_potential_or_error(const std::string& input, std::mt19937& generator,
                               const std::function<PotentialPtr()>& make) {
  SCOPED_TRACE(testing::PrintToString(input));
  try {
    const PotentialPtr potential = make();
    if (!potential) return;
    Strings samples;
    for (int i = 0; i < 4; ++i) samples.push_back(random_text(generator, 6));
    EXPECT_EQ(self_check(*potential, samples), "");
  } catch (const UsageError& error) {
    const std::string line = error.what();
    EXPECT_FALSE(line.empty());
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not a UsageError: " << error.what();
  }
}

const Strings regex_fragments{"a",
                              "b",
                              "é",
                              "€",
                              ".",
                              "*",
                              "+",
                              "?",
                              "|",
                              "(",
                              ")",
                              "(?:",
                              "(?i)",
                              "(?s:",
                              "(?P<n>",
                              "(?-i",
                              "[",
                              "]",
                              "[^",
                              "-",
                              "\\",
                              "\\d",
                              "\\W",
                              "\\b",
                              "\\B",
                              "^",
                              "$",
                              "{",
                              "}",
                              "{2}",
                              "{1,3}",
                              "{0,}",
                              "{,2}",
                              "\\p{L",
                              "\\pN",
                              "\\p{Greek}",
                              "\\PL",
                              "\\p{^Lu}",
                              "\\x41",
                              "\\x{",
                              "\\x{20ac}",
                              "\\Q",
                              "\\E",
                              "[:alpha:]",
                              "[[:^w",
                              ":]]",
                              "\\0",
                              "\\12",
                              "(?=",
                              "(?<!",
                              "(?>",
                              "(?#",
                              "\xff",
                              "\xc3",
                              "0",
                              "9",
                              ",",
                              "\n",
                              std::string(1, '\0'),
                              "\\z",
                              "\\A",
                              "(?m)$",
                              "(?U)",
                              "a-z",
                              "\\]",
                              "😀"};

std::string random_pattern(std::mt19937& generator) {
  std::string pattern;
  for (std::size_t n = generator() % 12; n > 0; --n) pattern += pick(regex_fragments, generator);
  return pattern;
}

TEST(Fuzz, RegexesGiveAPotentialOrOneLine) {
  fuzz(61, [](std::mt19937& generator) {
    const std::string pattern = random_pattern(generator);
    expect_potential_or_error(pattern, generator, [&] { return regex_potential(pattern); });
  });
}

TEST(Fuzz, StylePatternsGiveAPotentialOrOneLine) {
  fuzz(62, [](std::mt19937& generator) {
    const std::string pattern = random_pattern(generator);
    const int max_count = static_cast<int>(generator() % 5);
    expect_potential_or_error(pattern, generator, [&] {
      return style_potential({"fuzz", {{pattern, 0.5, max_count}, {"x", -1.0, 2}}});
    });
  });
}

/// A few cuts, doublings and insertions.
std::string damaged(std::string text, const Strings& insertions, std::mt19937& generator) {
  for (std::size_t n = 1 + generator() % 4; n > 0 && !text.empty(); --n) {
    const std::size_t at = generator() % text.size();
    const std::size_t size = 1 + generator() % 12;
    switch (generator() % 4) {
      case 0:
        text.erase(at, size);
        break;
      case 1:
        text.insert(at, text.substr(generator() % text.size(), size));
        break;
      case 2:
        text[at] = static_cast<char>(generator());
        break;
      default:
        text.insert(at, pick(insertions, generator));
    }
  }
  return text;
}

const Strings json_fragments{"\"",
                             "{",
                             "}",
                             "[",
                             "]",
                             ",",
                             ":",
                             "null",
                             "true",
                             "-1",
                             "1e999",
                             "1e308",
                             "0.5",
                             "\"inf\"",
                             "99999999999999999999",
                             "\\u0000",
                             "\\ud800",
                             "\xff",
                             "\n",
                             "{\"type\": \"regex\", \"pattern\": \"a\"},",
                             "\"name\": \"x\",",
                             "/*",
                             "-"};

TEST(Fuzz, JobFilesGivePotentialsOrOneLine) {
  const std::string job = R"({"potentials": [
    {"type": "length", "min": 8, "max": 80, "unit": "words", "name": "length"},
    {"type": "required", "elements": ["parallel", "é"], "penalty": 2.0, "name": "on_topic"},
    {"type": "forbidden", "strings": ["as an AI"]}, {"type": "regex", "pattern": ".*[.!?]$"},
    {"type": "constraint", "parts": [{"type": "regex", "pattern": "[a-z]*"}, {"type": "style", "style": "formal"}]}]})";
  fuzz(63, [&](std::mt19937& generator) {
    const std::string text = damaged(job, json_fragments, generator);
    expect_potential_or_error(text, generator, [&] {
      const auto potentials = potentials_from_json(text);
      return potentials.empty() ? nullptr : potentials[generator() % potentials.size()];
    });
  });
}

TEST(Fuzz, StyleFilesGiveAStyleOrOneLine) {
  const std::string style = R"({"name": "pirate", "patterns": [{"pattern": "\\barr+\\b", "log_weight": 1.5},
    {"pattern": "ship", "log_weight": -0.5, "max_count": 1}]})";
  const TemporaryFile file;
  fuzz(64, [&](std::mt19937& generator) {
    const std::string text = damaged(style, json_fragments, generator);
    file.write(text);
    expect_potential_or_error(text, generator, [&] { return style_potential(load_style(file.path())); });
  });
}

}  // namespace
}  // namespace shoal::test
