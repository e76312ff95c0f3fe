#include "text/tokenizer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "shoal/error.hpp"

namespace shoal::text {
namespace {

using nlohmann::json;

const std::filesystem::path data = SHOAL_TEST_DATA;

json read(const std::string& name) {
  std::ifstream in(data / name);
  return json::parse(in);
}

std::vector<int> values(const std::vector<TokenId>& ids) {
  std::vector<int> out;
  for (const TokenId id : ids) out.push_back(id.value());
  return out;
}

class Parity : public testing::TestWithParam<const char*> {
 protected:
  Tokenizer tokenizer = Tokenizer::load(data / (std::string("tokenizer_") + GetParam() + ".json"));
  json fixture = read(std::string("strings_") + GetParam() + ".json");
};

TEST_P(Parity, EncodesAsHuggingFaceDoes) {
  ASSERT_GE(fixture["cases"].size(), 2000U);
  for (const json& one : fixture["cases"]) {
    const std::string text = one[0];
    ASSERT_EQ(values(tokenizer.encode(text, SpecialTokens::no)), one[1].get<std::vector<int>>()) << json(text).dump();
  }
}

TEST_P(Parity, DecodesAsHuggingFaceDoes) {
  for (const json& one : fixture["cases"]) {
    std::vector<TokenId> ids;
    for (const int id : one[1]) ids.push_back(TokenId{id});
    ASSERT_EQ(tokenizer.decode(ids), one[2].get<std::string>());
  }
}

TEST_P(Parity, AddsSpecialTokensAsHuggingFaceDoes) {
  EXPECT_EQ(values(tokenizer.encode("Hello world", SpecialTokens::yes)),
            fixture["hello_world_with_special"].get<std::vector<int>>());
}

INSTANTIATE_TEST_SUITE_P(Families, Parity, testing::Values("qwen2", "llama3", "gpt2"),
                         [](const auto& i) { return std::string(i.param); });

TEST(Tokenizer, RefusesTextThatIsNotUtf8WithThePosition) {
  const Tokenizer tokenizer = Tokenizer::load(data / "tokenizer_qwen2.json");

  try {
    (void)tokenizer.encode("abc\xff", SpecialTokens::no);
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("byte 4"), std::string::npos) << error.what();
  }
}

TEST(Tokenizer, EncodesALongWordInReasonableTime) {
  const Tokenizer tokenizer = Tokenizer::load(data / "tokenizer_qwen2.json");
  const std::string word(100'000, 'a');

  EXPECT_EQ(tokenizer.decode(tokenizer.encode(word, SpecialTokens::no)), word);
}

/// The refusal of a tokenizer file with one part changed.
std::string refusal(const std::function<void(json*)>& change) {
  json file = read("tokenizer_qwen2.json");
  change(&file);
  const auto path = std::filesystem::path(testing::TempDir()) / "shoal_bad_tokenizer.json";
  std::ofstream(path) << file.dump();
  try {
    (void)Tokenizer::load(path);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TokenizerFile, NamesWhatIsNotSupported) {
  EXPECT_NE(refusal([](json* f) { (*f)["model"]["type"] = "Unigram"; }).find("model 'Unigram'"), std::string::npos);
  EXPECT_NE(refusal([](json* f) {
              (*f)["normalizer"] = {{"type", "Bert"}};
            }).find("normalizer 'Bert'"),
            std::string::npos);
  EXPECT_NE(refusal([](json* f) {
              (*f)["pre_tokenizer"] = {{"type", "Metaspace"}};
            }).find("pre-tokenizer 'Metaspace'"),
            std::string::npos);
  EXPECT_NE(refusal([](json* f) {
              (*f)["decoder"] = {{"type", "WordPiece"}};
            }).find("decoder 'WordPiece'"),
            std::string::npos);
  EXPECT_NE(refusal([](json* f) {
              (*f)["model"]["merges"].push_back({"zz", "qq"});
            }).find("'zzqq'"),
            std::string::npos);
  EXPECT_NE(refusal([](json* f) { (*f)["model"]["vocab"]["x"] = -3; }).find("'x'"), std::string::npos);
  EXPECT_NE(refusal([](json* f) { f->erase("model"); }).find("model"), std::string::npos);
}

TEST(TokenizerFile, MissingOrCutFilesAreRefusedByName) {
  const auto path = std::filesystem::path(testing::TempDir()) / "shoal_cut_tokenizer.json";
  std::ofstream(path) << R"({"model": {"type")";

  EXPECT_THROW((void)Tokenizer::load(path), ModelError);
  EXPECT_THROW((void)Tokenizer::load(data / "no_such.json"), ModelError);
}

}  // namespace
}  // namespace shoal::text
