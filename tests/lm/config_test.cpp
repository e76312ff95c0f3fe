#include "lm/config.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

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
  EXPECT_EQ(c.norm_epsilon, 1e-5);
  EXPECT_EQ(c.rotaries.front().theta, 500000.0);
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

TEST(Config, Qwen3NormalizesHeadsThatAreWiderThanTheirShare) {
  const TransformerConfig c = load_config(fixture("qwen3_tied"));

  EXPECT_EQ(c.head_norms, HeadNorms::each);
  EXPECT_EQ(c.head_dim, 32);
  EXPECT_EQ(c.query_size(), 2 * c.hidden_size);
  EXPECT_EQ(c.qkv_bias, Bias::no);
  EXPECT_EQ(c.windows, (std::vector{512, 512}));
}

TEST(Config, PhiTurnsAPartOfItsHeadsAndHasBiasesEverywhere) {
  const TransformerConfig c = load_config(fixture("phi_partial"));

  EXPECT_EQ(c.norm, Norm::layer);
  EXPECT_EQ(c.norm_epsilon, 1e-5);
  EXPECT_EQ(c.activation, Activation::gelu_tanh);
  EXPECT_EQ(c.residual, Residual::parallel);
  EXPECT_EQ(c.rotaries.front().dimensions, 8);
  EXPECT_EQ(c.up_size(), c.intermediate_size);
  for (const Bias bias : {c.qkv_bias, c.output_bias, c.mlp_bias, c.head_bias}) EXPECT_EQ(bias, Bias::yes);
  EXPECT_FALSE(c.tied_head);
}

TEST(Config, Gpt2HasNamesAndDefaultsOfItsOwn) {
  const BadFolder folder("gpt2");
  json config = json::parse(folder.read("config.json"));
  for (const char* key : {"n_inner", "tie_word_embeddings", "activation_function", "layer_norm_epsilon"})
    config.erase(key);
  folder.write("config.json", config.dump());

  const TransformerConfig c = load_config(folder.path());

  EXPECT_EQ(c.hidden_size, 32);
  EXPECT_EQ(c.intermediate_size, 128);
  EXPECT_EQ(c.layers, 2);
  EXPECT_EQ(c.heads, 2);
  EXPECT_EQ(c.max_position, 400);
  EXPECT_EQ(c.norm_epsilon, 1e-5);
  EXPECT_EQ(c.positions, Positions::learned);
  EXPECT_EQ(c.residual, Residual::serial);
  EXPECT_EQ(c.head_bias, Bias::no);
  EXPECT_TRUE(c.tied_head);
}

/// The configuration of @p name when @p change has changed it.
TransformerConfig changed(const char* name, const std::function<void(json*)>& change) {
  const BadFolder folder(name);
  json config = json::parse(folder.read("config.json"));
  change(&config);
  folder.write("config.json", config.dump());
  return load_config(folder.path());
}

std::vector<double> thetas(const TransformerConfig& config) {
  std::vector<double> all;
  for (const Rotary& rotary : config.rotaries) all.push_back(rotary.theta);
  return all;
}

TEST(Config, Gemma3TurnsLayersWithAWindowOtherwise) {
  const TransformerConfig c = load_config(fixture("gemma3"));

  EXPECT_EQ(c.windows, (std::vector{20, 512}));
  EXPECT_EQ(thetas(c), (std::vector{1e4, 1e6}));
  EXPECT_EQ(c.rotaries[0].scaling, RotaryScaling::none);
  EXPECT_EQ(c.rotaries[1].factor, 8.0);
  EXPECT_EQ(c.norm_places, NormPlaces::both);
  EXPECT_EQ(c.norm_offset, 1.0F);
  EXPECT_EQ(c.head_norms, HeadNorms::each);
  EXPECT_EQ(c.activation, Activation::gated_gelu_tanh);
  EXPECT_EQ(c.embedding_scale, std::sqrt(32.0));
  EXPECT_EQ(c.attention_divisor, std::sqrt(24.0F));
  EXPECT_EQ(c.attention_cap, 0.0);
  EXPECT_EQ(c.logit_cap, 0.0);
  EXPECT_TRUE(c.tied_head);
}

/// As the files of 270M and 1B have it, and with what they leave out.
TEST(Config, Gemma3sOlderFilesMeanTheSame) {
  const auto older = [](json* c) {
    for (const char* key : {"rope_parameters", "layer_types", "hidden_activation", "tie_word_embeddings", "head_dim"})
      c->erase(key);
    (*c)["num_hidden_layers"] = 7;
    (*c)["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
    (*c)["rope_local_base_freq"] = 20000;
  };
  const TransformerConfig c = changed("gemma3", older);
  EXPECT_EQ(c.windows, (std::vector{20, 20, 20, 20, 20, 512, 20}));
  EXPECT_EQ(thetas(c), (std::vector{2e4, 2e4, 2e4, 2e4, 2e4, 1e6, 2e4}));
  EXPECT_EQ(c.rotaries[4].scaling, RotaryScaling::none);
  EXPECT_EQ(c.rotaries[5].scaling, RotaryScaling::linear);
  EXPECT_EQ(c.head_dim, 256);
  EXPECT_TRUE(c.tied_head);

  const TransformerConfig pattern = changed("gemma3", [&](json* j) {
    older(j);
    (*j)["sliding_window_pattern"] = 2;
    (*j)["sliding_window"] = 512;  // as wide as the context: these layers turn in their way all the same
    (*j)["rope_theta"] = 5e5;
  });
  EXPECT_EQ(pattern.windows, std::vector<int>(7, 512));
  EXPECT_EQ(thetas(pattern), (std::vector{2e4, 5e5, 2e4, 5e5, 2e4, 5e5, 2e4}));
}

TEST(Config, Gemma2CapsScoresAndLogitsUnlessItSaysNull) {
  const TransformerConfig c = load_config(fixture("gemma2"));
  EXPECT_EQ(c.attention_cap, 4.0);
  EXPECT_EQ(c.logit_cap, 5.0);
  EXPECT_EQ(c.windows, (std::vector{20, 512}));
  EXPECT_EQ(c.head_norms, HeadNorms::none);

  const TransformerConfig silent = changed("gemma2", [](json* j) {
    for (const char* key : {"attn_logit_softcapping", "query_pre_attn_scalar", "layer_types", "sliding_window"})
      j->erase(key);
    (*j)["final_logit_softcapping"] = nullptr;
    (*j)["max_position_embeddings"] = 8192;
  });
  EXPECT_EQ(silent.attention_cap, 50.0);
  EXPECT_EQ(silent.logit_cap, 0.0);
  EXPECT_EQ(silent.attention_divisor, 16.0F);
  EXPECT_EQ(silent.windows, (std::vector{4096, 8192}));
}

TEST(Config, TheFirstGemmasGeluIsItsTanhForm) {
  const TransformerConfig c = changed("gemma", [](json* j) { (*j)["hidden_act"] = "gelu"; });
  EXPECT_EQ(c.activation, Activation::gated_gelu_tanh);
  EXPECT_EQ(c.norm_places, NormPlaces::before);
}

TEST(Config, Phi3sLongFactorsEndItsContext) {
  const TransformerConfig c = load_config(fixture("phi3_longrope"));
  EXPECT_EQ(c.max_position, 128);
  EXPECT_EQ(c.windows, (std::vector{128, 128}));
  EXPECT_EQ(c.rotaries.front().dimensions, 24);
  EXPECT_EQ(c.rotaries.front().short_factors.size(), 12U);
  EXPECT_DOUBLE_EQ(c.rotaries.front().attention_factor, std::sqrt(1.0 + std::log(4.0) / std::log(128.0)));
  EXPECT_EQ(c.norm_epsilon, 1e-5);

  const TransformerConfig older = changed("phi3_longrope", [](json* j) {
    json scaling = (*j)["rope_parameters"];
    j->erase("rope_parameters");
    (*j)["rope_scaling"] = {{"type", "su"}, {"short_factor", scaling["short_factor"]}};
    (*j)["partial_rotary_factor"] = 0.75;
  });
  EXPECT_EQ(older.rotaries, c.rotaries);
  const TransformerConfig silent = changed("phi3_longrope", [](json* j) {
    j->erase("original_max_position_embeddings");
    (*j)["rope_parameters"].erase("original_max_position_embeddings");
    (*j)["max_position_embeddings"] = 131072;
  });
  EXPECT_EQ(silent.max_position, 4096);
  EXPECT_EQ(changed("phi3_window", [](json*) {}).windows, (std::vector{20, 20}));
  EXPECT_EQ(changed("phi3_window", [](json* j) { j->erase("sliding_window"); }).windows, (std::vector{512, 512}));
}

TEST(Config, GptNeoXHasANormForEachOfItsParallelParts) {
  const TransformerConfig c = load_config(fixture("gpt_neox"));
  EXPECT_EQ(c.residual, Residual::parallel_own_norm);
  EXPECT_EQ(c.activation, Activation::gelu);
  EXPECT_EQ(c.rotaries.front().dimensions, 8);
  for (const Bias bias : {c.qkv_bias, c.output_bias, c.mlp_bias}) EXPECT_EQ(bias, Bias::yes);
  EXPECT_EQ(c.head_bias, Bias::no);
  EXPECT_FALSE(c.tied_head);
  EXPECT_EQ(load_config(fixture("gpt_neox_serial_f16")).residual, Residual::serial);

  const TransformerConfig older = changed("gpt_neox", [](json* j) {
    j->erase("rope_parameters");
    (*j)["rotary_pct"] = 0.5;
    (*j)["rotary_emb_base"] = 20000;
    (*j)["hidden_act"] = "gelu_fast";
    (*j)["attention_bias"] = false;
  });
  EXPECT_EQ(older.rotaries.front().dimensions, 16);
  EXPECT_EQ(older.rotaries.front().theta, 20000.0);
  EXPECT_EQ(older.activation, Activation::gelu_tanh);
  EXPECT_EQ(older.qkv_bias, Bias::no);
  EXPECT_EQ(older.mlp_bias, Bias::yes);
}

TEST(Config, SmolLM3LeavesSomeLayersUnturned) {
  const TransformerConfig c = load_config(fixture("smollm3"));
  EXPECT_EQ(c.rotaries[0].dimensions, 16);
  EXPECT_EQ(c.rotaries[1].dimensions, 0);

  const TransformerConfig silent = changed("smollm3", [](json* j) {
    for (const char* key : {"no_rope_layers", "rope_parameters", "tie_word_embeddings", "layer_types"}) j->erase(key);
    (*j)["num_hidden_layers"] = 5;
    (*j)["use_sliding_window"] = true;
    (*j)["sliding_window"] = 16;
  });
  EXPECT_EQ(thetas(silent), (std::vector{2e6, 2e6, 2e6, 1e4, 2e6}));
  EXPECT_EQ(silent.rotaries[3].dimensions, 0);
  EXPECT_EQ(silent.windows, (std::vector{512, 512, 512, 16, 512}));
  EXPECT_TRUE(silent.tied_head);
}

TEST(Config, Olmo2NormalizesWhatItAdds) {
  const TransformerConfig c = load_config(fixture("olmo2"));
  EXPECT_EQ(c.norm_places, NormPlaces::after);
  EXPECT_EQ(c.head_norms, HeadNorms::together);
  EXPECT_EQ(c.query_norm_size(), 32);
  EXPECT_EQ(c.key_norm_size(), 16);
}

TEST(Config, GraniteMultiplies) {
  const TransformerConfig c = load_config(fixture("granite"));
  EXPECT_EQ(c.embedding_scale, 3.0);
  EXPECT_EQ(c.residual_scale, 0.7);
  EXPECT_FLOAT_EQ(c.attention_divisor, 5.0F);
  EXPECT_EQ(c.logit_scale, 0.5);
}

/// The windows of @p name's layers when @p change has changed its configuration.
std::vector<int> windows_of(const char* name, const std::function<void(json*)>& change) {
  return changed(name, change).windows;
}

TEST(Config, MistralsWindowHoldsForEveryLayerUnlessItIsNull) {
  EXPECT_EQ(windows_of("mistral_window", [](json*) {}), (std::vector{20, 20}));
  EXPECT_EQ(windows_of("mistral_window", [](json* c) { (*c)["sliding_window"] = nullptr; }), (std::vector{512, 512}));
  EXPECT_EQ(windows_of("mistral_window", [](json* c) { (*c)["sliding_window"] = 4096; }), (std::vector{512, 512}));
  EXPECT_EQ(windows_of("mistral_window",
                       [](json* c) {
                         c->erase("sliding_window");  // transformers takes 4096 then
                         (*c)["max_position_embeddings"] = 8192;
                       }),
            (std::vector{4096, 4096}));
}

TEST(Config, QwensWindowHoldsForTheLayersThatSlide) {
  EXPECT_EQ(windows_of("qwen2_yarn_window", [](json*) {}), (std::vector{512, 24}));
  EXPECT_EQ(windows_of("qwen2_yarn_window", [](json* c) { c->erase("layer_types"); }), (std::vector{512, 24}));
  EXPECT_EQ(windows_of("qwen2_yarn_window", [](json* c) { (*c)["use_sliding_window"] = false; }),
            (std::vector{512, 512}));
  EXPECT_EQ(windows_of("qwen3_tied",
                       [](json* c) {
                         (*c)["use_sliding_window"] = true;
                         (*c)["sliding_window"] = 16;
                         (*c)["layer_types"] = {"sliding_attention", "full_attention"};
                       }),
            (std::vector{16, 512}));
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

  EXPECT_EQ(c.rotaries.front().theta, 5000.0);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.kv_heads, 4);
  EXPECT_EQ(c.norm_epsilon, 1e-6);
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
  const std::string line = refusal([](json* c) { (*c)["architectures"] = {"Gemma3nForCausalLM"}; });
  EXPECT_NE(line.find("'Gemma3nForCausalLM' is not supported"), std::string::npos) << line;
  for (const char* name :
       {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "GemmaForCausalLM",
        "Gemma2ForCausalLM", "Gemma3ForCausalLM", "PhiForCausalLM", "Phi3ForCausalLM", "SmolLM3ForCausalLM",
        "Olmo2ForCausalLM", "GraniteForCausalLM", "GPTNeoXForCausalLM", " or GPT2LMHeadModel"})
    EXPECT_NE(line.find(name), std::string::npos) << line;

  expect_refusal_of("rope_parameters", {{"rope_type", "proportional"}, {"factor", 8.0}}, "scaling 'proportional'");
  expect_refusal_of("rope_scaling", {{"type", "axial"}}, "default, linear, dynamic, llama3, yarn or longrope");
  expect_refusal_of("partial_rotary_factor", 0.5, "partial_rotary_factor in LlamaForCausalLM");
  expect_refusal_of("hidden_act", "gelu", "activation 'gelu' is not supported");
  expect_refusal_of("hidden_act", "relu", "use a checkpoint with silu or gelu_pytorch_tanh");
  expect_refusal_of("mlp_bias", true, "mlp_bias");
  expect_refusal_of("quantization_config", {{"bits", 4}}, "quantized");
  expect_refusal_of("head_dim", 24, "head dimension of 24");
  expect_refusal("layer type 'linear_attention'", [](json* c) {
    (*c)["architectures"] = {"Qwen2ForCausalLM"};
    (*c)["use_sliding_window"] = true;
    (*c)["layer_types"] = {"full_attention", "linear_attention"};
  });
}

TEST_F(ChangedConfig, WhatOneFamilyLacksIsNamed) {
  const auto refusal_of = [](const char* name, const std::string& key, const json& value) {
    const BadFolder copy(name);
    json config = json::parse(copy.read("config.json"));
    config[key] = value;
    copy.write("config.json", config.dump());
    return message_of([&] { (void)load_config(copy.path()); });
  };
  EXPECT_NE(refusal_of("phi_partial", "qk_layernorm", true).find("qk_layernorm is not supported"), std::string::npos);
  EXPECT_NE(refusal_of("phi_partial", "hidden_act", "silu").find("gelu_new"), std::string::npos);
  EXPECT_NE(refusal_of("gpt2", "activation_function", "relu").find("activation 'relu'"), std::string::npos);
  EXPECT_NE(refusal_of("gpt2", "scale_attn_by_inverse_layer_idx", true).find("inverse"), std::string::npos);
  EXPECT_NE(refusal_of("gpt2", "scale_attn_weights", false).find("scale_attn_weights"), std::string::npos);
  EXPECT_NE(refusal_of("gpt2", "add_cross_attention", true).find("add_cross_attention"), std::string::npos);
  EXPECT_NE(refusal_of("gpt2", "n_layer", 0).find("'n_layer' is 0"), std::string::npos);
  EXPECT_NE(refusal_of("gpt2", "layer_norm_epsilon", 2).find("layer_norm_epsilon"), std::string::npos);
  EXPECT_NE(refusal_of("gemma3", "attn_logit_softcapping", 50.0).find("attn_logit_softcapping"), std::string::npos);
  EXPECT_NE(refusal_of("gemma3", "use_bidirectional_attention", true).find("bidirectional"), std::string::npos);
  EXPECT_NE(refusal_of("gemma2", "final_logit_softcapping", -1).find("not positive"), std::string::npos);
  EXPECT_NE(refusal_of("gemma2", "query_pre_attn_scalar", 0).find("not positive"), std::string::npos);
  EXPECT_NE(refusal_of("gemma2", "layer_types", {"full_attention"}).find("every layer"), std::string::npos);
  EXPECT_NE(refusal_of("granite", "residual_multiplier", 0).find("not positive"), std::string::npos);
  EXPECT_NE(refusal_of("smollm3", "no_rope_layers", {1}).find("every layer"), std::string::npos);
  EXPECT_NE(refusal_of("smollm3", "no_rope_layers", {"x"}).find("wrong type"), std::string::npos);
  EXPECT_NE(refusal_of("gemma3", "rope_scaling", {{"rope_type", "linear"}, {"factor", 4.0}})
                .find("rope_scaling beside rope_parameters of layers"),
            std::string::npos);
  EXPECT_NE(refusal_of("gemma3", "rope_parameters", {{"sliding_attention", 1e4}}).find("wrong type"),
            std::string::npos);
  EXPECT_NE(refusal_of("gemma3", "sliding_window", nullptr).find("sliding_window is null"), std::string::npos);
  EXPECT_NE(refusal_of("gemma2", "hidden_activation", "gelu").find("activation 'gelu'"), std::string::npos);
  EXPECT_NE(refusal_of("phi3_window", "rope_parameters", {{"rope_type", "linear"}, {"factor", 4.0}})
                .find("other than longrope in Phi3ForCausalLM"),
            std::string::npos);
  EXPECT_NE(refusal_of("mistral_window", "sliding_window", 0).find("'sliding_window' is 0"), std::string::npos);
  EXPECT_NE(refusal_of("qwen2_yarn_window", "layer_types", {"full_attention"}).find("every layer"), std::string::npos);
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
  const json llama3 = {{"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}};
  expect_refusal_of("rope_parameters", llama3, "high_freq_factor is not greater");
  expect_refusal_of("rope_parameters", {{"rope_type", "llama3"}, {"factor", 8}}, "has no low_freq_factor");
  expect_refusal_of("rope_parameters", {{"rope_type", "linear"}}, "has no factor");
  expect_refusal_of("rope_parameters", {{"rope_type", "linear"}, {"factor", -2}}, "factor is not positive");
  expect_refusal_of("rope_parameters", {{"rope_type", "yarn"}, {"factor", "4"}}, "has the wrong type");
  expect_refusal_of("rope_parameters", {{"rope_type", "yarn"}, {"factor", 4}, {"truncate", 1}}, "has the wrong type");
  expect_refusal_of("rope_parameters", {{"partial_rotary_factor", 1e300}}, "partial_rotary_factor is greater than 1");
  const json longrope = {{"rope_type", "longrope"}, {"factor", 8.0}};
  expect_refusal_of("rope_parameters", longrope, "has no short_factor");
  json bad = longrope;
  bad["short_factor"] = {1, 2};
  expect_refusal_of("rope_parameters", bad, "short_factor has 2 entries instead of 8");
  bad["short_factor"] = {1, "x"};
  expect_refusal_of("rope_parameters", bad, "'rope_parameters' has the wrong type");
  bad["short_factor"] = json::array({1, 1, 1, 1, 1, 1, 1, 0});
  expect_refusal_of("rope_parameters", bad, "short_factor is not positive");
  expect_refusal_of("partial_rotary_factor", 0.01, "partial_rotary_factor leaves 0 dimensions");
  expect_refusal_of("num_hidden_layers", 10001, "'num_hidden_layers' is 10001");
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
