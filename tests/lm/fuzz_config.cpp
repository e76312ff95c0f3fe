// Fuzz target: config.json. The input is one as it is, and a JSON merge patch for a small one of each family; behind a
// zero byte there may be a generation_config.json.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "fuzz_folder.hpp"
#include "lm/config.hpp"
#include "lm/part_sizes.hpp"
#include "shoal/error.hpp"

namespace {

using nlohmann::json;
using shoal::lm::require;

json base_of(const char* architecture) {
  json base = {{"architectures", {architecture}},
               {"hidden_size", 64},
               {"intermediate_size", 96},
               {"num_hidden_layers", 2},
               {"num_attention_heads", 4},
               {"num_key_value_heads", 2},
               {"vocab_size", 100},
               {"max_position_embeddings", 256},
               {"eos_token_id", 1}};
  if (std::string(architecture) == "GPT2LMHeadModel")
    base = {{"architectures", {architecture}},
            {"n_embd", 64},
            {"n_layer", 2},
            {"n_head", 4},
            {"n_positions", 128},
            {"vocab_size", 100},
            {"eos_token_id", 1}};
  return base;
}

/// What the rest of the program relies on.
void check(const shoal::lm::TransformerConfig& c) {
  require(c.vocabulary_size > 0 && c.hidden_size > 0 && c.intermediate_size > 0 && c.layers > 0);
  require(c.heads > 0 && c.kv_heads > 0 && c.heads % c.kv_heads == 0 && c.head_dim > 0 && c.max_position > 0);
  require(c.windows.size() == static_cast<std::size_t>(c.layers) && c.windows.size() <= 10'000);
  for (const int window : c.windows) require(window > 0 && window <= c.max_position);
  require(!c.end_tokens.empty());
  for (const shoal::TokenId end : c.end_tokens) require(end.value() >= 0 && end.value() < c.vocabulary_size);
  require(std::isfinite(c.norm_epsilon) && c.norm_epsilon >= 0);
  require(c.rotaries.size() == c.windows.size());
  const shoal::lm::Rotary* checked = nullptr;
  for (const shoal::lm::Rotary& rotary : c.rotaries) {
    require(rotary.dimensions >= 0 && rotary.dimensions % 2 == 0 && rotary.dimensions <= c.head_dim);
    if (c.head_dim > 4096 || (checked != nullptr && *checked == rotary)) continue;
    checked = &rotary;
    for (const double frequency : shoal::lm::rotary_frequencies(rotary)) require(std::isfinite(frequency));
    require(std::isfinite(rotary.attention_factor));
  }
  for (const double scale : {c.embedding_scale, c.residual_scale, double{c.attention_divisor}, c.logit_scale})
    require(std::isfinite(scale) && scale > 0.0);
  require(std::isfinite(c.attention_cap) && c.attention_cap >= 0.0 && std::isfinite(c.logit_cap) && c.logit_cap >= 0.0);
  for (const auto& part : shoal::lm::part_sizes(c, shoal::DType::f32, 4)) require(part.bytes < std::uint64_t{1} << 62U);
}

void try_out(const std::string& config, const std::string& generation) {
  static const shoal::lm::FuzzFolder folder;
  folder.write("config.json", config);
  std::error_code ignored;
  std::filesystem::remove(folder.path() / "generation_config.json", ignored);
  if (!generation.empty()) folder.write("generation_config.json", generation);
  try {
    check(shoal::lm::load_config(folder.path()));
  } catch (const shoal::ModelError& error) {
    shoal::lm::require_clear(error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = std::min(input.find('\0'), size);
  const std::string config = input.substr(0, zero), generation = input.substr(std::min(zero + 1, size));
  try_out(config, generation);
  if (std::count(config.begin(), config.end(), '{') + std::count(config.begin(), config.end(), '[') > 200) return 0;
  const json patch = json::parse(config, nullptr, false);
  if (patch.is_discarded()) return 0;
  for (const char* architecture :
       {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "GemmaForCausalLM",
        "Gemma2ForCausalLM", "Gemma3ForCausalLM", "PhiForCausalLM", "Phi3ForCausalLM", "SmolLM3ForCausalLM",
        "Olmo2ForCausalLM", "GraniteForCausalLM", "GPTNeoXForCausalLM", "GPT2LMHeadModel"}) {
    json file = base_of(architecture);
    file.merge_patch(patch);
    try_out(file.dump(-1, ' ', false, json::error_handler_t::replace), generation);
  }
  return 0;
}
