// Rotary positions: both spellings in config.json, and frequencies as transformers computes them for models in use.
#include "lm/rotary.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "bad_folder.hpp"

namespace shoal::lm {
namespace {

using nlohmann::json;

/// llama_grouped_f32's configuration with @p rope instead of its own parameters.
TransformerConfig config_with(const json& rope) {
  const BadFolder folder("llama_grouped_f32");
  json config = json::parse(folder.read("config.json"));
  config.erase("rope_parameters");
  config.update(rope);
  folder.write("config.json", config.dump());
  return load_config(folder.path());
}
Rotary rotary_of(const json& rope) { return config_with(rope).rotaries.front(); }

void expect_frequencies(const Rotary& rotary, const std::map<std::size_t, double>& expected) {
  const auto found = rotary_frequencies(rotary);
  ASSERT_EQ(found.size(), static_cast<std::size_t>(rotary.dimensions / 2));
  for (const auto& [pair, frequency] : expected) EXPECT_NEAR(found[pair] / frequency, 1.0, 1e-5) << "pair " << pair;
}

TEST(Rotary, BothSpellingsMeanTheSame) {
  const Rotary newer = rotary_of({{"rope_parameters",
                                   {{"rope_type", "llama3"},
                                    {"rope_theta", 5e5},
                                    {"factor", 8.0},
                                    {"low_freq_factor", 1.0},
                                    {"high_freq_factor", 4.0},
                                    {"original_max_position_embeddings", 64}}}});
  const json scaling = {
      {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 64}};
  for (const char* key : {"type", "rope_type"}) {
    json older = scaling;
    older[key] = "llama3";
    EXPECT_EQ(rotary_of({{"rope_theta", 5e5}, {"rope_scaling", older}}), newer) << key;
  }
  EXPECT_EQ(newer.scaling, RotaryScaling::llama3);
  EXPECT_EQ(newer.original_context, 64.0);
}

TEST(Rotary, DynamicIsTheDefaultWithinTheContext) {
  const Rotary dynamic = rotary_of({{"rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}}}});

  EXPECT_EQ(dynamic, rotary_of({{"rope_scaling", nullptr}}));
  EXPECT_EQ(config_with({{"rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}}}}).max_position, 512);
}

TEST(Rotary, LinearDividesEveryFrequency) {
  const auto plain = rotary_frequencies(rotary_of(json::object()));
  const auto linear = rotary_frequencies(rotary_of({{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}}));

  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(linear[i], plain[i] / 4.0);
}

TEST(Rotary, TheOriginalContextOfOtherPlacesIsFound) {
  const json yarn = {{"type", "yarn"}, {"factor", 4.0}};

  EXPECT_EQ(rotary_of({{"rope_scaling", yarn}}).original_context, 512.0);
  EXPECT_EQ(rotary_of({{"rope_scaling", yarn}, {"original_max_position_embeddings", 128}}).original_context, 128.0);
}

TEST(Rotary, YarnStretchesTheContextThatTheFileSays) {
  const json yarn = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 512}};

  EXPECT_EQ(config_with({{"rope_scaling", yarn}}).max_position, 2048);
}

TEST(Rotary, FrequenciesOfLlama31) {
  const Rotary rotary{.dimensions = 128,
                      .theta = 500000.0,
                      .scaling = RotaryScaling::llama3,
                      .factor = 8.0,
                      .original_context = 8192.0};
  expect_frequencies(rotary, {{0, 1.0},
                              {20, 0.016560440883040428},
                              {28, 0.0032114461064338684},
                              {29, 0.0021665706299245358},
                              {30, 0.0013718936825171113},
                              {32, 0.0005248460220173001},
                              {34, 0.0001785077911335975},
                              {36, 7.784655463183299e-05},
                              {63, 3.068925877869333e-07}});
}

Rotary yarn_of_qwen25() {
  return {.dimensions = 128, .theta = 1e6, .scaling = RotaryScaling::yarn, .factor = 4.0, .original_context = 32768.0};
}

TEST(Rotary, FrequenciesOfQwen25InYarn) {
  Rotary rotary = yarn_of_qwen25();
  expect_frequencies(rotary, {{0, 1.0},
                              {20, 0.01333521492779255},
                              {23, 0.006978305988013744},
                              {24, 0.005375321488827467},
                              {30, 0.0010643609566614032},
                              {36, 0.0001798411540221423},
                              {40, 4.4456985051510856e-05},
                              {63, 3.102344408034696e-07}});
  rotary.beta_fast = 16.0;
  rotary.beta_slow = 2.0;
  rotary.truncate = false;
  expect_frequencies(rotary, {{24, 0.005623413249850273},
                              {30, 0.0011570935603231192},
                              {36, 0.00011986687604803592},
                              {40, 4.4456985051510856e-05}});
}

TEST(Rotary, YarnsAttentionFactorIsGivenOrComputed) {
  json yarn = {{"type", "yarn"}, {"factor", 4.0}};
  EXPECT_NEAR(rotary_of({{"rope_scaling", yarn}}).attention_factor, 1.138629436111989, 1e-15);
  yarn["mscale"] = 0.7;
  yarn["mscale_all_dim"] = 1.2;
  EXPECT_NEAR(rotary_of({{"rope_scaling", yarn}}).attention_factor, 0.9405715251010841, 1e-15);
  yarn["attention_factor"] = 1.5;
  EXPECT_EQ(rotary_of({{"rope_scaling", yarn}}).attention_factor, 1.5);
}

}  // namespace
}  // namespace shoal::lm
