// Tabular languages against probabilities worked out by hand, and their bad files.
#include "lm/tabular_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

class TabularFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "shoal-tabular-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  TabularModel load(const std::string& json) {
    const auto file = folder_ / "language.json";
    std::ofstream(file) << json;
    return {"tabular:language.json", file};
  }
  std::string error_of(const std::string& json) {
    try {
      load(json);
    } catch (const ModelError& e) {
      return e.what();
    }
    return "no error";
  }

 private:
  std::filesystem::path folder_;
};

TokenId id(int value) { return TokenId{value}; }

constexpr const char* markov = R"({"tokens": ["a", "ab", "b", "."], "end": ".",
  "table": {"": {"a": 0.5, "b": 0.25, ".": 0.25}, "a": {"ab": 1}, "b a": {"b": 0.75, ".": 0.25}}})";

TEST_F(TabularFile, MarkovRowsAreFoundByTheirLongestSuffix) {
  const TabularModel model = load(markov);

  // a | start, ab | "a", b | start's row, a | start's row, . | "b a"
  const auto log_p = model.score(std::vector{id(0), id(1), id(2), id(0), id(3)});

  const std::vector<double> expected{0.5, 1.0, 0.25, 0.5, 0.25};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(std::exp(log_p[i]), expected[i], 1e-15) << i;
}

TEST_F(TabularFile, HiddenMarkovFollowsTheForwardAlgorithm) {
  const TabularModel model = load(R"({"tokens": ["x", "y", "end"], "end": ["end"], "initial": [0.6, 0.4],
    "transition": [[0.7, 0.3], [0.2, 0.8]], "emission": [[0.5, 0.4, 0.1], [0.1, 0.6, 0.3]]})");

  const auto log_p = model.score(std::vector{id(0), id(1), id(2)});

  const double p1 = 0.6 * 0.5 + 0.4 * 0.1;
  const double b0 = 0.6 * 0.5 / p1, b1 = 0.4 * 0.1 / p1;
  const double s0 = b0 * 0.7 + b1 * 0.2, s1 = b0 * 0.3 + b1 * 0.8;
  const double p2 = s0 * 0.4 + s1 * 0.6;
  const double c0 = s0 * 0.4 / p2, c1 = s1 * 0.6 / p2;
  const double p3 = (c0 * 0.7 + c1 * 0.2) * 0.1 + (c0 * 0.3 + c1 * 0.8) * 0.3;
  EXPECT_NEAR(std::exp(log_p[0]), p1, 1e-14);
  EXPECT_NEAR(std::exp(log_p[1]), p2, 1e-14);
  EXPECT_NEAR(std::exp(log_p[2]), p3, 1e-14);
}

TEST_F(TabularFile, LogitsAreLogProbabilitiesOfEachContext) {
  const TabularModel model = load(markov);
  const auto tree = model.open({}, {});
  const ContextId a = tree->extend(tree->root(), id(0));
  std::vector<float> logits(8);

  tree->forward(std::vector{tree->root(), a}, logits);

  EXPECT_FLOAT_EQ(logits[0], std::log(0.5F));
  EXPECT_EQ(logits[1], -INFINITY);
  EXPECT_EQ(logits[4], -INFINITY);
  EXPECT_EQ(logits[5], 0.0F);
}

TEST_F(TabularFile, ContextsTravelBetweenTrees) {
  const TabularModel model = load(markov);
  const auto from = model.open(std::vector{id(2)}, {});
  const auto to = model.open(std::vector{id(2)}, {});
  const ContextId leaf = from->extend(from->root(), id(0));

  ASSERT_EQ(from->computed(leaf), 0U);  // no data to send
  const ContextId arrived = to->insert(std::vector{id(0)});

  std::vector<float> logits(4);
  to->forward(std::vector{arrived}, logits);
  EXPECT_FLOAT_EQ(logits[2], std::log(0.75F));
  EXPECT_EQ(to->extend(to->root(), id(0)), arrived);
}

TEST_F(TabularFile, EncodesByTheLongestTokensThatCoverTheText) {
  const TabularModel model = load(R"({"tokens": ["a", "ab", "bc", "</s>"], "end": "</s>",
    "table": {"": {"a": 0.5, "</s>": 0.5}}})");

  EXPECT_EQ(model.encode("abc", SpecialTokens::no), (std::vector{id(0), id(2)}));
  EXPECT_EQ(model.encode("ab", SpecialTokens::no), (std::vector{id(1)}));
  EXPECT_EQ(model.encode("", SpecialTokens::no), (std::vector<TokenId>{}));
  EXPECT_THROW((void)model.encode("ac", SpecialTokens::no), UsageError);
}

TEST_F(TabularFile, RefusesATextThatGoesOnAfterItsEnd) {
  const TabularModel model = load(markov);

  EXPECT_THROW((void)model.score(std::vector{id(3), id(0)}), UsageError);
  EXPECT_THROW((void)model.open(std::vector{id(3)}, {}), UsageError);
}

TEST_F(TabularFile, BadFilesAreRefusedByTheEntryAtFault) {
  const std::vector<std::pair<std::string, std::string>> bad{
      {"[]", "not a JSON object"},
      {"{", "not JSON"},
      {R"({"tokens": []})", "'tokens'"},
      {R"({"tokens": ["a", 3]})", "entry 1 of 'tokens'"},
      {R"({"tokens": ["a", "a"]})", "twice"},
      {R"({"tokens": ["a"]})", "no 'end'"},
      {R"({"tokens": ["a"], "end": "b"})", "names \"b\""},
      {R"({"tokens": ["a"], "end": "a"})", "neither 'table'"},
      {R"({"tokens": ["a"], "end": "a", "table": {}})", "no row ''"},
      {R"({"tokens": ["a"], "end": "a", "table": {"": {"a": 0.5}}})", "sums to 0.5"},
      {R"({"tokens": ["a"], "end": "a", "table": {"": {"a": "x"}}})", "no number"},
      {R"({"tokens": ["a"], "end": "a", "table": {"": {"a": 1}, "z": {"a": 1}}})", "row 'z'"},
      {R"({"tokens": ["a", "b"], "end": "a", "table": {"": {"a": 2, "b": -1}}})", "negative"},
      {R"({"tokens": ["a"], "end": "a", "order": 2, "table": {"": {"a": 1}}})", "'order'"},
      {R"({"tokens": ["a"], "end": "a", "emission": []})", "'initial'"},
      {R"({"tokens": ["a"], "end": "a", "initial": [1], "transition": [[1, 0]], "emission": [[1]]})",
       "row 0 of 'transition'"},
      {R"({"tokens": ["a"], "end": "a", "initial": [1], "transition": [[1]], "emission": [[1], [1]]})", "'emission'"},
  };
  for (const auto& [json, part] : bad) {
    const std::string error = error_of(json);
    EXPECT_NE(error.find(part), std::string::npos) << json << " -> " << error;
    EXPECT_NE(error.find("language.json"), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace shoal::lm
