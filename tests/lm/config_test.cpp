#include "lm/config.hpp"

#include <gtest/gtest.h>

#include "bad_folder.hpp"

namespace shoal::lm {
namespace {

using nlohmann::json;

std::vector<int> end_tokens(const TransformerConfig& config) {
  std::vector<int> ids;
  for (const TokenId id : config.end_tokens) ids.push_back(id.value());
  return ids;
}

TEST(Config, ReadsWhatTransformersWrites) {
  const TransformerConfig c = load_config(fixture("llama_bias_tied_bf16"));

  EXPECT_EQ(c.architecture, "LlamaForCausalLM");
  EXPECT_EQ(c.vocabulary_size, 208);
  EXPECT_EQ(c.hidden_size, 64);
  EXPECT_EQ(c.intermediate_size, 112);
  EXPECT_EQ(c.layers, 3);
  EXPECT_EQ(c.heads, 4);
  EXPECT_EQ(c.kv_heads, 1);
  EXPECT_EQ(c.head_dim, 32);
  EXPECT_EQ(c.query_size(), 128);
  EXPECT_EQ(c.kv_size(), 32);
  EXPECT_EQ(c.max_position, 512);
  EXPECT_EQ(c.rms_epsilon, 1e-5);
  EXPECT_EQ(c.rope_theta, 500000.0);
  EXPECT_EQ(c.qkv_bias, Bias::yes);
  EXPECT_EQ(c.output_bias, Bias::yes);
  EXPECT_TRUE(c.tied_head);
  EXPECT_EQ(end_tokens(c), std::vector{2});
}

TEST(Config, Qwen2HasBiasesOfItsOwn) {
  const TransformerConfig c = load_config(fixture("qwen2_tied_f16"));

  EXPECT_EQ(c.qkv_bias, Bias::yes);
  EXPECT_EQ(c.output_bias, Bias::no);
}

/// The configuration of llama_grouped_f32 with one part changed.
class ChangedConfig : public testing::Test {
 protected:
  TransformerConfig load(const std::function<void(json*)>& change) {
    json config = json::parse(folder.read("config.json"));
    change(&config);
    folder_for_change.write("config.json", config.dump());
    return load_config(folder_for_change.path());
  }
  std::string refusal(const std::function<void(json*)>& change) {
    const std::string line = message_of([&] { (void)load(change); });
    EXPECT_NE(line.find("config.json"), std::string::npos) << line;
    return line;
  }
  void expect_refusal(const std::string& part, const std::function<void(json*)>& change) {
    const std::string line = refusal(change);
    EXPECT_NE(line.find(part), std::string::npos) << line;
  }
  void expect_refusal_of(const std::string& key, const json& value, const std::string& part) {
    expect_refusal(part, [&](json* c) { (*c)[key] = value; });
  }

  BadFolder folder{"llama_grouped_f32"};
  BadFolder folder_for_change{"llama_grouped_f32"};
};

TEST_F(ChangedConfig, OlderFilesWithoutTheNewerEntriesAreRead) {
  const TransformerConfig c = load([](json* j) {
    for (const char* key : {"rope_parameters", "head_dim", "num_key_value_heads", "attention_bias", "rms_norm_eps",
                            "tie_word_embeddings", "hidden_act", "mlp_bias"})
      j->erase(key);
    (*j)["rope_theta"] = 5000;
    (*j)["rope_scaling"] = nullptr;
  });

  EXPECT_EQ(c.rope_theta, 5000.0);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.kv_heads, 4);
  EXPECT_EQ(c.rms_epsilon, 1e-6);
  EXPECT_FALSE(c.tied_head);
}

TEST_F(ChangedConfig, TheGenerationConfigHasTheLastWordOnTheEnd) {
  folder_for_change.write("generation_config.json", R"({"eos_token_id": [7, 9]})");
  EXPECT_EQ(end_tokens(load([](json*) {})), (std::vector{7, 9}));

  folder_for_change.write("generation_config.json", R"({"eos_token_id": null})");
  EXPECT_EQ(end_tokens(load([](json*) {})), std::vector{2});

  folder_for_change.write("generation_config.json", "{");
  EXPECT_NE(message_of([&] { (void)load([](json*) {}); }).find("generation_config.json"), std::string::npos);
}

TEST_F(ChangedConfig, SeveralEndTokensAreRead) {
  EXPECT_EQ(end_tokens(load([](json* c) { (*c)["eos_token_id"] = {2, 5}; })), (std::vector{2, 5}));
}

TEST_F(ChangedConfig, WhatIsNotSupportedIsNamedWithWhatIs) {
  const std::string line = refusal([](json* c) { (*c)["architectures"] = {"GPT2LMHeadModel"}; });
  EXPECT_NE(line.find("'GPT2LMHeadModel' is not supported"), std::string::npos) << line;
  EXPECT_NE(line.find("LlamaForCausalLM or Qwen2ForCausalLM"), std::string::npos) << line;

  expect_refusal_of("rope_parameters", {{"rope_type", "llama3"}, {"factor", 8.0}}, "scaling 'llama3'");
  expect_refusal_of("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}, "scaling 'linear'");
  expect_refusal_of("hidden_act", "gelu", "'gelu'");
  expect_refusal_of("mlp_bias", true, "mlp_bias");
  expect_refusal_of("quantization_config", {{"bits", 4}}, "quantized");
  expect_refusal_of("head_dim", 24, "head dimension of 24");
  expect_refusal("use_sliding_window", [](json* c) {
    (*c)["architectures"] = {"Qwen2ForCausalLM"};
    (*c)["use_sliding_window"] = true;
  });
}

TEST_F(ChangedConfig, SenselessEntriesAreNamed) {
  expect_refusal_of("num_key_value_heads", 3, "4 heads do not divide into 3");
  expect_refusal_of("num_attention_heads", 0, "'num_attention_heads' is 0");
  expect_refusal_of("num_attention_heads", -4, "'num_attention_heads' is -4");
  expect_refusal_of("num_attention_heads", 100'000'000, "heads");
  expect_refusal_of("vocab_size", 18446744073709551615ULL, "'vocab_size'");
  expect_refusal_of("vocab_size", 4294967296LL + 176, "'vocab_size' is 4294967472");
  expect_refusal_of("hidden_size", 64.5, "'hidden_size' has the wrong type");
  expect_refusal_of("hidden_size", "64", "'hidden_size' has the wrong type");
  expect_refusal_of("hidden_size", true, "'hidden_size' has the wrong type");
  expect_refusal_of("hidden_size", nullptr, "no entry 'hidden_size'");
  expect_refusal_of("num_hidden_layers", json::array({2}), "'num_hidden_layers' has the wrong type");
  expect_refusal_of("rms_norm_eps", -1.0, "rms_norm_eps");
  expect_refusal_of("rms_norm_eps", "small", "'rms_norm_eps' has the wrong type");
  expect_refusal_of("tie_word_embeddings", 1, "'tie_word_embeddings' has the wrong type");
  expect_refusal_of("architectures", "LlamaForCausalLM", "'architectures' has the wrong type");
  expect_refusal_of("architectures", json::array(), "no entry 'architectures'");
  expect_refusal_of("rope_parameters", 7, "'rope_parameters' has the wrong type");
  expect_refusal_of("rope_parameters", {{"rope_type", 7}}, "'rope_parameters' has the wrong type");
  expect_refusal_of("rope_parameters", {{"rope_theta", "x"}}, "'rope_parameters' has the wrong type");
  expect_refusal_of("rope_parameters", {{"rope_theta", 0}}, "rope_theta");
  expect_refusal("no entry 'vocab_size'", [](json* c) { c->erase("vocab_size"); });
  expect_refusal("not a JSON object", [](json* c) { *c = json::array(); });
}

TEST_F(ChangedConfig, AnEndOutsideTheVocabularyIsRefused) {
  expect_refusal_of("eos_token_id", 176, "eos_token_id 176 lies outside");
  expect_refusal_of("eos_token_id", -1, "eos_token_id -1 lies outside");
  expect_refusal_of("eos_token_id", {2, 4294967298LL}, "eos_token_id 4294967298 lies outside");
  expect_refusal_of("eos_token_id", {2, "x"}, "'eos_token_id' has the wrong type");
  expect_refusal_of("eos_token_id", 2.5, "'eos_token_id' has the wrong type");
  expect_refusal_of("eos_token_id", nullptr, "no eos_token_id");
  expect_refusal_of("eos_token_id", json::array(), "no eos_token_id");
}

TEST_F(ChangedConfig, TextInAnErrorStaysOnOneLine) {
  const std::string line =
      refusal([](json* c) { (*c)["architectures"] = {"Bad\nModel\x1b[31m" + std::string(5000, 'x')}; });

  EXPECT_NE(line.find("'Bad\\nModel"), std::string::npos) << line;
}

TEST(ConfigFile, MissingEmptyOrBrokenFilesAreNamed) {
  const BadFolder folder("llama_grouped_f32");
  const auto refusal = [&] { return message_of([&] { (void)load_config(folder.path()); }); };

  folder.write("config.json", "");
  EXPECT_NE(refusal().find("config.json (it is empty)"), std::string::npos) << refusal();
  folder.write("config.json", R"({"vocab_size": )");
  EXPECT_NE(refusal().find("config.json (not JSON, at byte"), std::string::npos) << refusal();
  folder.write("config.json", R"({"vocab_size": 1e999})");
  EXPECT_NE(refusal().find("config.json (not JSON)"), std::string::npos) << refusal();
  folder.write("config.json", "{\"a\": \"\xff\"}");
  EXPECT_NE(refusal().find("config.json (not JSON"), std::string::npos) << refusal();
  folder.write("config.json", std::string(1000000, '['));
  EXPECT_NE(refusal().find("config.json (not JSON"), std::string::npos) << refusal();
  std::filesystem::remove(folder.path() / "config.json");
  EXPECT_NE(refusal().find("config.json (No such file"), std::string::npos) << refusal();
  std::filesystem::create_directory(folder.path() / "config.json");
  EXPECT_NE(refusal().find("config.json (not a regular file)"), std::string::npos) << refusal();
}

}  // namespace
}  // namespace shoal::lm
