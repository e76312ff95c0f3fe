#include "text/tokenizer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
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

Tokenizer load(const std::string& family) { return Tokenizer::load(data / ("tokenizer_" + family + ".json")); }

std::vector<int> values(const std::vector<TokenId>& ids) {
  std::vector<int> out;
  for (const TokenId id : ids) out.push_back(id.value());
  return out;
}

std::vector<TokenId> tokens(const json& ids) {
  std::vector<TokenId> out;
  for (const int id : ids) out.push_back(TokenId{id});
  return out;
}

/// @p ids between what the post-processor puts around them.
std::vector<int> with_ends(const json& fixture, const json& ids) {
  auto all = fixture["before"].get<std::vector<int>>();
  for (const char* part : {"ids", "after"})
    for (const int id : part == std::string("ids") ? ids : fixture["after"]) all.push_back(id);
  return all;
}

std::string repeated(const std::string& unit, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += unit;
  return text;
}

/// FNV-1a over whole ids, as the script computes it.
std::string hash_of(const std::vector<TokenId>& ids) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const TokenId id : ids) hash = (hash ^ static_cast<std::uint64_t>(id.value())) * 0x100000001b3ULL;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

void expect_parity(const Tokenizer& tokenizer, const std::string& text, const json& fixture, std::size_t i) {
  const json& ids = fixture["ids"][i];
  const json& decoded = fixture["decoded"][i];
  EXPECT_EQ(values(tokenizer.encode(text, SpecialTokens::no)), ids.get<std::vector<int>>()) << json(text).dump();
  EXPECT_EQ(values(tokenizer.encode(text, SpecialTokens::yes)), with_ends(fixture, ids)) << json(text).dump();
  EXPECT_EQ(tokenizer.decode(tokens(ids)), decoded.is_null() ? text : decoded.get<std::string>()) << ids.dump();
}

class Family : public testing::TestWithParam<const char*> {
 protected:
  Tokenizer tokenizer = load(GetParam());
  json fixture = read(std::string("cases_") + GetParam() + ".json");
};

TEST_P(Family, EncodesAndDecodesTwoThousandTextsAsHuggingFaceDoes) {
  const json texts = read("texts.json");
  ASSERT_GE(texts.size(), 2000U);

  for (std::size_t i = 0; i < texts.size() && !HasFailure(); ++i) expect_parity(tokenizer, texts[i], fixture, i);
}

TEST_P(Family, DecodesAnySequenceAsHuggingFaceDoes) {
  for (const json& one : fixture["sequences"])
    ASSERT_EQ(tokenizer.decode(tokens(one[0])), one[1].get<std::string>()) << one[0].dump();
}

TEST_P(Family, EncodesVeryLongTextsAsHuggingFaceDoes) {
  for (const json& one : fixture["long"]) {
    const auto ids = tokenizer.encode(repeated(one[0], one[1]), SpecialTokens::no);
    EXPECT_EQ(ids.size(), one[2].get<std::size_t>()) << one[0].dump();
    EXPECT_EQ(hash_of(ids), one[3].get<std::string>()) << one[0].dump();
  }
}

/// What decoding leaves as it is: everything but normalised characters and a leading space.
TEST_P(Family, BytesOfTheTokensSpellTheText) {
  const std::string text = "Hello particle, it's 42\tna\u00efve \u4f60\u597d \U0001F642!\n\n  end";
  std::string bytes;
  for (const TokenId id : tokenizer.encode(text, SpecialTokens::yes)) bytes += tokenizer.bytes(id);
  if (bytes.starts_with(' ')) bytes.erase(0, 1);
  if (GetParam() != std::string("metaspace")) {
    EXPECT_EQ(bytes, text);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Family,
                         testing::Values("gpt2", "phi2", "qwen", "llama3", "smollm", "llama2", "mistral3", "gemma",
                                         "phi3", "phi4_mini", "gpt_neox", "gemma3", "metaspace"),
                         [](const auto& i) { return std::string(i.param); });

TEST(Tokenizer, TreatsEverySettingOfEveryComponentAsHuggingFaceDoes) {
  const json texts = read("texts.json");
  for (const json& variant : read("variants.json")) {
    json file = read("tokenizer_" + variant["family"].get<std::string>() + ".json");
    file.merge_patch(variant["change"]);
    const Tokenizer tokenizer = Tokenizer::parse(file.dump(), "variant");
    for (std::size_t i = 0; i < variant["texts"].size(); ++i)
      expect_parity(tokenizer, texts[variant["texts"][i].get<std::size_t>()], variant, i);
    ASSERT_FALSE(HasFailure()) << variant["family"] << variant["change"].dump();
  }
}

TEST(Tokenizer, BytesOfASentencePieceTokenAreWhatItAddsToTheText) {
  const Tokenizer tokenizer = load("llama2");

  EXPECT_EQ(tokenizer.bytes(tokenizer.id_of("\u2581the")), " the");
  EXPECT_EQ(tokenizer.bytes(tokenizer.id_of("<0x0A>")), "\n");
  EXPECT_EQ(tokenizer.bytes(tokenizer.id_of("<0xE2>")), "\xE2");
  EXPECT_EQ(tokenizer.bytes(tokenizer.id_of("<s>")), "");
  EXPECT_EQ(tokenizer.bytes(tokenizer.id_of("[STRIP]")), "[STRIP]");
  EXPECT_EQ(tokenizer.bytes(TokenId{1'000'000}), "");
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8WithThePosition) {
  const Tokenizer tokenizer = load("qwen");

  try {
    (void)tokenizer.encode("abc\xff", SpecialTokens::no);
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("byte 4"), std::string::npos) << error.what();
  }
}

/// The refusal of a tokenizer file with one part changed.
std::string refusal(const std::string& family, const std::string& change) {
  json file = read("tokenizer_" + family + ".json");
  file.merge_patch(json::parse(change));
  try {
    (void)Tokenizer::parse(file.dump(), "changed.json");
  } catch (const ModelError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TokenizerFile, NamesWhatIsNotSupported) {
  const std::pair<const char*, const char*> refused[] = {
      {R"({"model": {"type": "Unigram"}})", "model 'Unigram'"},
      {R"({"model": {"end_of_word_suffix": "</w>"}})", "BPE option 'end_of_word_suffix'"},
      {R"({"model": {"dropout": 0.1}})", "BPE option 'dropout'"},
      {R"({"normalizer": {"type": "BertNormalizer"}})", "normalizer 'BertNormalizer'"},
      {R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}]}})", "normalizer 'Nmt'"},
      {R"({"pre_tokenizer": {"type": "Whitespace"}})", "pre-tokenizer 'Whitespace'"},
      {R"({"decoder": {"type": "WordPiece"}})", "decoder 'WordPiece'"},
      {R"({"decoder": null})", "decoder 'null'"},
      {R"({"post_processor": {"type": "X"}})", "post-processor 'X'"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd"}})", "behavior 'Odd'"},
      {R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}})", "'last'"}};

  for (const auto& [change, named] : refused)
    EXPECT_NE(refusal("qwen", change).find(named), std::string::npos) << refusal("qwen", change);
}

TEST(TokenizerFile, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> refused[] = {
      {R"({"model": {"merges": [["zz", "qq"]]}})", "'zz'"},
      {R"({"model": {"merges": ["zz"]}})", "'zz' is not a pair"},
      {R"({"model": {"unk_token": "[none]"}})", "'[none]'"},
      {R"({"model": {"vocab": {"x": -3}}})", "'x'"},
      {R"({"model": {"vocab": {"x": 99999999}}})", "'x'"},
      {R"({"model": {"vocab": {"one too many": 5}}})", "stands for both"},
      {R"({"added_tokens": [{"id": 5000, "content": "!"}]})", "'!' has two ids"},
      {R"({"model": null})", "model"},
      {R"({"added_tokens": 3})", "type"},
      {R"({"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": ""}})", "empty"},
      {R"({"normalizer": {"type": "Replace", "pattern": {"Regex": "(a"}, "content": ""}})", "does not compile"},
      {R"({"normalizer": {"type": "Replace", "pattern": {"Regex": "[a&&b]"}, "content": ""}})", "'&&'"},
      {R"({"normalizer": {"type": "Replace", "pattern": {"Regex": "\\h"}, "content": ""}})", "'\\h'"},
      {R"({"decoder": {"type": "Strip", "content": "ab", "start": 1, "stop": 0}})", "not one character"},
      {R"({"decoder": {"type": "Strip", "content": "a", "start": 1e30, "stop": 0}})", "'start' is not a count"},
      {R"({"post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}}})", "text once"}};

  for (const auto& [change, named] : refused)
    EXPECT_NE(refusal("qwen", change).find(named), std::string::npos) << refusal("qwen", change);
}

TEST(TokenizerFile, IsRefusedInOneLineOfReadableLength) {
  for (const std::string& change :
       {std::string(R"({"model": {"vocab": {"a\nb": -1}}})"), std::string(R"({"model": {"merges": ["zz\nqq"]}})"),
        R"({"model": {"vocab": {")" + repeated("long", 10'000) + R"(": -1}}})"}) {
    const std::string line = refusal("qwen", change);
    EXPECT_NE(line, "accepted");
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_LT(line.size(), 600U);
  }
}

TEST(TokenizerFile, MissingCutOrDeeplyNestedFilesAreRefusedByName) {
  EXPECT_THROW((void)Tokenizer::load(data / "no_such.json"), ModelError);
  EXPECT_THROW((void)Tokenizer::parse(R"({"model": {"type")", "cut.json"), ModelError);
  EXPECT_THROW((void)Tokenizer::parse(repeated("[", 100'000), "deep.json"), ModelError);
}

}  // namespace
}  // namespace shoal::text
