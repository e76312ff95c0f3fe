#include "lm/config.hpp"

#include <algorithm>

#include "lm/json_file.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ConfigReader {
 public:
  explicit ConfigReader(const fs::path& file) : file_(file), json_(read_json_file(file)) {
    if (!json_.is_object()) fail("not a JSON object");
  }

  [[nodiscard]] bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  [[nodiscard]] const json& at(const char* key) const { return json_.at(key); }

  template <class T>
  [[nodiscard]] T get(const char* key, T fallback) const {
    return has(key) ? convert<T>(key) : fallback;
  }
  [[nodiscard]] int positive(const char* key) const {
    if (!has(key)) fail(std::string("no entry '") + key + "'");
    const json& entry = at(key);
    if (!entry.is_number_integer()) wrong_type(key);
    if (entry > 100'000'000 || entry < 1) fail(std::string("entry '") + key + "' is " + entry.dump());
    return entry.get<int>();
  }
  [[nodiscard]] int positive(const char* key, int fallback) const { return has(key) ? positive(key) : fallback; }

  [[noreturn]] void fail(const std::string& why) const {
    throw ModelError("cannot use " + file_.string() + " (" + why + ") use the config.json that came with the weights");
  }
  [[noreturn]] void wrong_type(const char* key) const { fail(std::string("entry '") + key + "' has the wrong type"); }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw ModelError(what + " is not supported (in " + file_.string() +
                     ") use a checkpoint of LlamaForCausalLM or Qwen2ForCausalLM with default rotary positions");
  }

 private:
  template <class T>
  [[nodiscard]] T convert(const char* key) const {
    try {
      return json_.at(key).get<T>();
    } catch (const json::exception&) {
      wrong_type(key);
    }
  }
  fs::path file_;
  json json_;
};

std::string architecture_of(const ConfigReader& in) {
  const auto names = in.get<std::vector<std::string>>("architectures", {});
  if (names.empty()) in.fail("no entry 'architectures'");
  return names.front();
}

double rope_theta_of(const ConfigReader& in) {
  double theta = in.get<double>("rope_theta", 10000.0);
  for (const char* parameters : {"rope_scaling", "rope_parameters"}) {
    if (!in.has(parameters)) continue;
    const json& rope = in.at(parameters);
    try {
      const std::string type = rope.value("rope_type", rope.value("type", std::string("default")));
      if (type != "default") in.unsupported("rotary position scaling " + shown(type));
      theta = rope.value("rope_theta", theta);
    } catch (const json::exception&) {
      in.wrong_type(parameters);
    }
  }
  if (!(theta > 0.0)) in.fail("rope_theta is not positive");
  return theta;
}

double rms_epsilon_of(const ConfigReader& in) {
  const double epsilon = in.get<double>("rms_norm_eps", 1e-6);
  if (!(epsilon >= 0.0 && epsilon < 1.0)) in.fail("rms_norm_eps is not between 0 and 1");
  return epsilon;
}

void check_shape(const ConfigReader& in, const TransformerConfig& c) {
  if (c.heads % c.kv_heads != 0)
    in.fail(std::to_string(c.heads) + " heads do not divide into " + std::to_string(c.kv_heads) + " key/value heads");
  if (c.head_dim % 16 != 0) in.unsupported("a head dimension of " + std::to_string(c.head_dim));
  if (c.heads > 100'000'000 / c.head_dim) in.fail(std::to_string(c.heads) + " heads are too many");
}

/// One id or a list of them.
std::vector<TokenId> token_list(const ConfigReader& in, const json& value, int vocabulary_size) {
  std::vector<TokenId> ids;
  for (const json& id : value.is_array() ? value : json::array({value})) {
    if (!id.is_number_integer()) in.wrong_type("eos_token_id");
    if (id < 0 || id >= vocabulary_size) in.fail("eos_token_id " + id.dump() + " lies outside the vocabulary");
    ids.emplace_back(id.get<std::int32_t>());
  }
  return ids;
}

/// generation_config.json, where there is one, has the last word: it lists the end of a turn of chat models.
std::vector<TokenId> end_tokens_of(const ConfigReader& in, const fs::path& folder, int vocabulary_size) {
  json value = in.has("eos_token_id") ? in.at("eos_token_id") : json();
  const fs::path generation = folder / "generation_config.json";
  if (std::error_code ignored; fs::exists(generation, ignored)) {
    const json parsed = read_json_file(generation);
    if (parsed.is_object() && parsed.contains("eos_token_id") && !parsed.at("eos_token_id").is_null())
      value = parsed.at("eos_token_id");
  }
  if (value.empty()) in.fail("no eos_token_id here or in generation_config.json");
  return token_list(in, value, vocabulary_size);
}

}  // namespace

TransformerConfig load_config(const fs::path& folder) {
  const ConfigReader in(folder / "config.json");
  TransformerConfig c;
  c.architecture = architecture_of(in);
  const bool qwen = c.architecture == "Qwen2ForCausalLM";
  if (!qwen && c.architecture != "LlamaForCausalLM") in.unsupported("architecture " + shown(c.architecture));
  if (in.get<std::string>("hidden_act", "silu") != "silu")
    in.unsupported("activation " + shown(in.get<std::string>("hidden_act", "")));
  if (in.get<bool>("mlp_bias", false)) in.unsupported("mlp_bias");
  if (qwen && in.get<bool>("use_sliding_window", false)) in.unsupported("use_sliding_window");
  if (in.has("quantization_config")) in.unsupported("a quantized checkpoint");
  c.vocabulary_size = in.positive("vocab_size");
  c.hidden_size = in.positive("hidden_size");
  c.intermediate_size = in.positive("intermediate_size");
  c.layers = in.positive("num_hidden_layers");
  c.heads = in.positive("num_attention_heads");
  c.kv_heads = in.positive("num_key_value_heads", c.heads);
  c.head_dim = in.positive("head_dim", std::max(1, c.hidden_size / c.heads));
  c.max_position = in.positive("max_position_embeddings");
  c.rms_epsilon = rms_epsilon_of(in);
  c.rope_theta = rope_theta_of(in);
  const bool bias = in.get<bool>("attention_bias", false);
  c.qkv_bias = qwen || bias ? Bias::yes : Bias::no;
  c.output_bias = !qwen && bias ? Bias::yes : Bias::no;
  c.tied_head = in.get<bool>("tie_word_embeddings", false);
  check_shape(in, c);
  c.end_tokens = end_tokens_of(in, folder, c.vocabulary_size);
  return c;
}

}  // namespace shoal::lm
