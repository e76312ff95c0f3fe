#include "potential/job_file.hpp"

#include <gtest/gtest.h>

#include <iterator>

#include "potential/support.hpp"

namespace shoal::test {
namespace {

/// The one potential of a job file.
PotentialPtr only(const std::string& item) {
  const auto potentials = potentials_from_json("{\"potentials\": [" + item + "]}");
  EXPECT_EQ(potentials.size(), 1U);
  return potentials.at(0);
}

void expect_refused(const std::string& item, const std::string& message) {
  SCOPED_TRACE(item);
  expect_error([&] { (void)only(item); }, message);
}

TEST(JobFile, ShippedExampleLoads) {
  std::ifstream file(std::string(SHOAL_SOURCE_DIR) + "/jobs/potentials.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});

  const auto potentials = potentials_from_json(text);

  ASSERT_EQ(potentials.size(), 3U);
  EXPECT_EQ(potentials[0]->name(), "length");
  EXPECT_EQ(potentials[1]->name(), "on_topic");
  EXPECT_EQ(log_complete(*potentials[1], "none"), -2.0);
  EXPECT_EQ(log_prefix(*potentials[2], "as an ai"), -infinity);
}

TEST(JobFile, OfNoPotentialsIsAllowed) { EXPECT_TRUE(potentials_from_json(R"({"potentials": []})").empty()); }

TEST(JobFile, MakesARegex) {
  const PotentialPtr potential = only(R"({"type": "regex", "pattern": "\\d+", "name": "digits"})");

  EXPECT_EQ(potential->name(), "digits");
  EXPECT_EQ(log_complete(*potential, "12"), 0.0);
  EXPECT_EQ(log_prefix(*potential, "x"), -infinity);
}

TEST(JobFile, MakesAStyleByNameOrFile) {
  const TemporaryFile file(R"({"patterns": [{"pattern": "ahoy", "log_weight": 2}]})");

  EXPECT_GT(log_complete(*only(R"({"type": "style", "style": "formal"})"), "Therefore, we shall"), 0.0);
  EXPECT_EQ(log_complete(*only(R"({"type": "style", "style": ")" + file.path() + R"("})"), "Ahoy!"), 2.0);
}

TEST(JobFile, MakesALengthInEveryUnit) {
  const auto of = [](const std::string& unit) {
    return only(R"({"type": "length", "min": 2, "max": 3, "unit": ")" + unit + R"("})");
  };

  EXPECT_EQ(log_complete(*of("bytes"), "é"), 0.0);
  EXPECT_EQ(log_complete(*of("characters"), "é"), -infinity);
  EXPECT_EQ(log_complete(*of("words"), "a b c"), 0.0);
  EXPECT_EQ(log_complete(*of("sentences"), "A. B."), 0.0);
  EXPECT_EQ(log_complete(*only(R"({"type": "length", "max": 3, "unit": "bytes"})"), ""), 0.0);
}

TEST(JobFile, MakesRequiredElements) {
  EXPECT_EQ(log_complete(*only(R"({"type": "required", "elements": ["a", "b"], "penalty": 1.5})"), "a"), -1.5);
  EXPECT_EQ(log_complete(*only(R"({"type": "required", "elements": ["a", "b"], "penalty": 2})"), "a"), -2.0);
  EXPECT_EQ(log_complete(*only(R"({"type": "required", "elements": ["a"], "penalty": "inf"})"), "b"), -infinity);
  EXPECT_EQ(log_complete(*only(R"({"type": "required", "elements": ["a"]})"), "b"), -infinity);
}

TEST(JobFile, MakesForbiddenContent) {
  EXPECT_EQ(log_prefix(*only(R"({"type": "forbidden", "strings": ["x", "yz"]})"), "ayz"), -infinity);
}

TEST(JobFile, MakesConstraintsOfConstraints) {
  const PotentialPtr potential = only(R"({"type": "constraint", "name": "both", "parts": [
      {"type": "regex", "pattern": "[ab]*"},
      {"type": "constraint", "parts": [{"type": "forbidden", "strings": ["aa"]}, {"type": "regex", "pattern": "a.*"}]}]})");

  EXPECT_EQ(potential->name(), "both");
  EXPECT_EQ(log_complete(*potential, "ab"), 0.0);
  EXPECT_EQ(log_prefix(*potential, "b"), -infinity);
  EXPECT_EQ(log_prefix(*potential, "abaa"), -infinity);
}

TEST(JobFile, NumbersPotentialsWithoutAName) {
  const auto potentials = potentials_from_json(R"({"potentials": [
      {"type": "regex", "pattern": "a"}, {"type": "regex", "pattern": "b"}, {"type": "regex", "pattern": "c", "name": "c"},
      {"type": "forbidden", "strings": ["d"]}, {"type": "regex", "pattern": "e"}]})");

  std::vector<std::string> names;
  for (const auto& potential : potentials) names.push_back(potential->name());
  EXPECT_EQ(names, (std::vector<std::string>{"regex", "regex_2", "c", "forbidden", "regex_3"}));
}

TEST(JobFile, SyntaxErrorsNameLineAndColumn) {
  const auto refuse = [](const std::string& json, const std::string& message) {
    SCOPED_TRACE(json);
    expect_error([&] { (void)potentials_from_json(json); }, message);
  };
  refuse("", "bad potentials file (not JSON at line 1, column 1) check quotes, commas and brackets there");
  refuse("{\n  \"potentials\": [,]\n}", "(not JSON at line 2, column 18)");
  refuse("{\"potentials\": [\n\n{\"type\": \"regex\" \"pattern\": 1}]}", "(not JSON at line 3, column 26)");
  refuse("{\"potentials\": []} x", "(not JSON at line 1, column 20)");
  refuse("{\"potentials\": [", "(not JSON at line 1, column 17)");
  refuse("nul", "(not JSON at line 1, column 4)");
}

TEST(JobFile, OfAnotherShapeIsRefused) {
  const auto refuse = [](const std::string& json, const std::string& message) {
    SCOPED_TRACE(json);
    expect_error([&] { (void)potentials_from_json(json); }, message);
  };
  refuse("[]", "bad potentials file (an array where an object is needed) write {...}");
  refuse("3.5", "bad potentials file (a number where an object is needed) write {...}");
  refuse("{}", "missing key 'potentials' in potentials file (it is needed) add it");
  refuse(R"({"potentials": {}})", "bad potentials file.potentials (an object where an array is needed)");
  refuse(R"({"potentials": [], "seed": 3})", "unknown key 'seed' in potentials file (known: potentials)");
  refuse(R"({"potentials": [], "potentials": []})", "(key 'potentials' appears twice in one object)");
  refuse(R"({"potentials": [1e999]})", "(a number is too large) give numbers below 1e308");
}

TEST(JobFile, MistakesInAnEntryNameTheEntryAndTheKey) {
  const std::string types = "choose one of regex, style, length, required, forbidden, constraint";
  const std::vector<std::pair<std::string, std::string>> table{
      {"7", "bad potentials[0] (a whole number where an object is needed) write {...}"},
      {"{}", "missing key 'type' in potentials[0] (it is needed) " + types},
      {R"({"type": 3})", "bad potentials[0].type (a whole number where a string is needed)"},
      {R"({"type": null})", "bad potentials[0].type (null where a string is needed)"},
      {R"({"type": "grammar"})", "bad potentials[0].type ('grammar' is not known) " + types},
      {R"({"type": "regex"})", "missing key 'pattern' in potentials[0]"},
      {R"({"type": "regex", "pattern": ["a"]})", "bad potentials[0].pattern (an array where a string is needed)"},
      {R"({"type": "regex", "patern": "a"})", "unknown key 'patern' in potentials[0] (known: type, name, pattern)"},
      {R"({"type": "regex", "pattern": "(a"})", "potentials[0]: bad regex '(a': missing ) (at position 1)"},
      {R"({"type": "regex", "pattern": "a", "name": ""})", "bad potentials[0].name (it is empty)"},
      {R"({"type": "regex", "pattern": "a", "name": 3})", "bad potentials[0].name (a whole number where a string is"},
      {R"({"type": "style"})", "missing key 'style' in potentials[0]"},
      {R"({"type": "style", "style": "odd"})", "potentials[0]: bad style 'odd' (neither a built-in style nor a file)"},
      {R"({"type": "length", "unit": "words"})", "missing key 'max' in potentials[0]"},
      {R"({"type": "length", "max": 3})", "missing key 'unit' in potentials[0]"},
      {R"({"type": "length", "max": 3, "unit": "lines"})",
       "bad potentials[0].unit ('lines' is not known) choose one of bytes, characters, words, sentences"},
      {R"({"type": "length", "max": "3", "unit": "words"})", "bad potentials[0].max (a string where a whole number is"},
      {R"({"type": "length", "max": 3.5, "unit": "words"})", "bad potentials[0].max (a number where a whole number is"},
      {R"({"type": "length", "max": 3000000000, "unit": "words"})", "bad potentials[0].max (out of range)"},
      {R"({"type": "length", "max": -99999999999, "unit": "words"})", "bad potentials[0].max (out of range)"},
      {R"({"type": "length", "min": 4, "max": 3, "unit": "words"})",
       "potentials[0]: bad length max 3 (less than min 4)"},
      {R"({"type": "required"})", "missing key 'elements' in potentials[0]"},
      {R"({"type": "required", "elements": "a"})", "bad potentials[0].elements (a string where an array is needed)"},
      {R"({"type": "required", "elements": ["a", 1]})", "bad potentials[0].elements[1] (a whole number where a string"},
      {R"({"type": "required", "elements": []})", "potentials[0]: no required elements"},
      {R"({"type": "required", "elements": ["a"], "penalty": -1})", "bad potentials[0].penalty (negative)"},
      {R"({"type": "required", "elements": ["a"], "penalty": "big"})",
       "bad potentials[0].penalty (a string where a number or \"inf\" is needed)"},
      {R"({"type": "forbidden"})", "missing key 'strings' in potentials[0]"},
      {R"({"type": "forbidden", "strings": [""]})", "potentials[0]: bad forbidden string ''"},
      {R"({"type": "constraint"})", "missing key 'parts' in potentials[0]"},
      {R"({"type": "constraint", "parts": []})", "potentials[0]: no parts in constraint 'constraint'"},
      {R"({"type": "constraint", "parts": [{"type": "regex"}]})", "missing key 'pattern' in potentials[0].parts[0]"},
      {R"({"type": "constraint", "parts": [{"type": "regex", "pattern": "a"}, {"type": "regex", "pattern": "b**"}]})",
       "potentials[0].parts[1]: bad regex 'b**': repetition of a repetition"},
  };
  for (const auto& [item, message] : table) expect_refused(item, message);
}

TEST(JobFile, NamesUsedTwiceAreRefused) {
  const std::string a = R"({"type": "regex", "pattern": "a", "name": "x"})";

  expect_error([&] { (void)potentials_from_json("{\"potentials\": [" + a + "," + a + "]}"); },
               "bad potentials[1].name ('x' is used twice) choose another name");
}

TEST(JobFile, AGivenNameIsNotTakenByAPotentialWithout) {
  const auto potentials = potentials_from_json(R"({"potentials": [
      {"type": "regex", "pattern": "a"}, {"type": "forbidden", "strings": ["b"], "name": "regex"}]})");

  EXPECT_EQ(potentials[0]->name(), "regex_2");
  EXPECT_EQ(potentials[1]->name(), "regex");
}

TEST(JobFile, ConstraintsNestedTooDeeplyAreRefused) {
  std::string item = R"({"type": "regex", "pattern": "a"})";
  for (int i = 0; i < 25; ++i) item = R"({"type": "constraint", "parts": [)" + item + "]}";

  expect_error([&] { (void)only(item); }, ".parts (constraints nested too deeply) use fewer levels");
}

TEST(JobFile, DeepBracketsAreRefusedWithoutACrash) {
  const std::string brackets(200'000, '[');
  expect_error([&] { (void)potentials_from_json(brackets); }, "(not JSON at line 1, column 200001)");
  expect_error([&] { (void)potentials_from_json(brackets + std::string(200'000, ']')); }, "an array where an object");
}

}  // namespace
}  // namespace shoal::test
