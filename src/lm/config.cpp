#include "lm/config.hpp"

#include <algorithm>
#include <array>

#include "lm/config_reader.hpp"
#include "lm/json_file.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Names of entries in config.json.
struct Keys {
  std::string hidden = "hidden_size", intermediate = "intermediate_size", layers = "num_hidden_layers";
  std::string heads = "num_attention_heads", max_position = "max_position_embeddings";
  std::string activation = "hidden_act", epsilon = "rms_norm_eps";
};

enum class Biases { none, as_attention_bias, qkv, all };
enum class Windows { none, every_layer, as_use_sliding_window };

/// What an architecture's name says before config.json says anything.
struct Family {
  std::string architecture = {};
  Keys keys = {};
  Norm norm = Norm::rms;
  Activation activation = Activation::gated_silu;
  Residual residual = Residual::serial;
  Positions positions = Positions::rotary;
  double rotary_part = 1.0;  ///< where config.json does not say it
  Biases biases = Biases::none;
  Windows windows = Windows::none;
  int head_dim = 0;  ///< where config.json does not say it; 0: hidden size / heads
  bool query_key_norm = false;
  Bias head_bias = Bias::no;
  bool tied_head = false;  ///< where config.json does not say it
};

const Keys phi_keys{.epsilon = "layer_norm_eps"};
const Keys gpt2_keys{.hidden = "n_embd",
                     .intermediate = "n_inner",
                     .layers = "n_layer",
                     .heads = "n_head",
                     .max_position = "n_positions",
                     .activation = "activation_function",
                     .epsilon = "layer_norm_epsilon"};

const std::array families = {
    Family{.architecture = "LlamaForCausalLM", .biases = Biases::as_attention_bias},
    Family{.architecture = "MistralForCausalLM", .windows = Windows::every_layer},
    Family{.architecture = "Qwen2ForCausalLM", .biases = Biases::qkv, .windows = Windows::as_use_sliding_window},
    Family{.architecture = "Qwen3ForCausalLM",
           .biases = Biases::as_attention_bias,
           .windows = Windows::as_use_sliding_window,
           .head_dim = 128,
           .query_key_norm = true},
    Family{.architecture = "PhiForCausalLM",
           .keys = phi_keys,
           .norm = Norm::layer,
           .activation = Activation::gelu_tanh,
           .residual = Residual::parallel,
           .rotary_part = 0.5,
           .biases = Biases::all,
           .head_bias = Bias::yes},
    Family{.architecture = "GPT2LMHeadModel",
           .keys = gpt2_keys,
           .norm = Norm::layer,
           .activation = Activation::gelu_tanh,
           .positions = Positions::learned,
           .biases = Biases::all,
           .tied_head = true},
};

/// "a checkpoint of A, B or C".
std::string supported_checkpoints() {
  std::string text = "a checkpoint of ";
  for (std::size_t i = 0; i < families.size(); ++i)
    text += (i == 0 ? "" : i + 1 == families.size() ? " or " : ", ") + families[i].architecture;
  return text;
}

const Family& family_of(const ConfigReader& in) {
  const auto names = in.get<std::vector<std::string>>("architectures", {});
  if (names.empty()) in.fail("no entry 'architectures'");
  const auto found = std::find_if(families.begin(), families.end(),
                                  [&](const Family& family) { return family.architecture == names.front(); });
  if (found == families.end()) in.unsupported("architecture " + shown(names.front()), supported_checkpoints());
  return *found;
}

void check_activation(const ConfigReader& in, const Family& family) {
  const bool gated = family.activation == Activation::gated_silu;
  const auto name = in.get<std::string>(family.keys.activation, gated ? "silu" : "gelu_new");
  if (gated ? name == "silu" : name == "gelu_new" || name == "gelu_pytorch_tanh") return;
  in.unsupported("activation " + shown(name),
                 gated ? "a checkpoint with silu" : "a checkpoint with gelu_new or gelu_pytorch_tanh");
}

/// Entries that change what is computed and that no other function reads.
void check_switches(const ConfigReader& in, const Family& family) {
  if (in.has("quantization_config")) in.unsupported("a quantized checkpoint", "the original checkpoint, with --dtype");
  for (const char* name : {"mlp_bias", "qk_layernorm", "scale_attn_by_inverse_layer_idx", "add_cross_attention"})
    if (in.get<bool>(name, false)) in.unsupported(name, supported_checkpoints() + " without it");
  if (!in.get<bool>("scale_attn_weights", true))
    in.unsupported("scale_attn_weights = false", supported_checkpoints() + " without it");
  check_activation(in, family);
}

double norm_epsilon_of(const ConfigReader& in, const Family& family) {
  const double epsilon = in.get<double>(family.keys.epsilon, family.norm == Norm::rms ? 1e-6 : 1e-5);
  if (!(epsilon >= 0.0 && epsilon < 1.0)) in.fail(family.keys.epsilon + " is not between 0 and 1");
  return epsilon;
}

void read_shape(const ConfigReader& in, const Family& family, TransformerConfig* c) {
  c->vocabulary_size = in.positive("vocab_size");
  c->hidden_size = in.positive(family.keys.hidden);
  c->intermediate_size = family.positions == Positions::learned
                             ? in.positive(family.keys.intermediate, 4 * c->hidden_size)
                             : in.positive(family.keys.intermediate);
  c->layers = in.positive(family.keys.layers);
  if (c->layers > 10'000) in.fail("entry '" + family.keys.layers + "' is " + std::to_string(c->layers));
  c->heads = in.positive(family.keys.heads);
  c->kv_heads = in.positive("num_key_value_heads", c->heads);
  const int share = std::max(1, c->hidden_size / c->heads);
  c->head_dim = in.positive("head_dim", family.head_dim > 0 ? family.head_dim : share);
  c->max_position = in.positive(family.keys.max_position);
}

void check_shape(const ConfigReader& in, const TransformerConfig& c) {
  if (c.heads % c.kv_heads != 0)
    in.fail(std::to_string(c.heads) + " heads do not divide into " + std::to_string(c.kv_heads) + " key/value heads");
  if (c.head_dim % 16 != 0)
    in.unsupported("a head dimension of " + std::to_string(c.head_dim), "a checkpoint with a multiple of 16");
  if (c.heads > 100'000'000 / c.head_dim) in.fail(std::to_string(c.heads) + " heads are too many");
}

void read_positions(const ConfigReader& in, const Family& family, TransformerConfig* c) {
  c->positions = family.positions;
  if (c->positions == Positions::learned) return;
  c->rotary = read_rotary(in, {.head_dim = c->head_dim, .max_position = c->max_position, .part = family.rotary_part});
  if (c->rotary.dimensions != c->head_dim && family.rotary_part == 1.0)
    in.unsupported("partial_rotary_factor in " + family.architecture, "a checkpoint of PhiForCausalLM");
  if (c->rotary.scaling == RotaryScaling::yarn)  // older files of Qwen2.5 leave the original context there
    c->max_position = std::max(
        c->max_position, static_cast<int>(std::min(c->rotary.original_context * c->rotary.factor, 100'000'000.0)));
}

/// True if layer_types, or where it is missing max_window_layers, says that a layer has a sliding window.
bool slides(const ConfigReader& in, const std::vector<std::string>& types, int layer) {
  if (types.empty()) return layer >= in.get<int>("max_window_layers", 28);
  const std::string& type = types[static_cast<std::size_t>(layer)];
  if (type != "sliding_attention" && type != "full_attention")
    in.unsupported("layer type " + shown(type), "a checkpoint with full_attention and sliding_attention");
  return type == "sliding_attention";
}

std::vector<int> windows_of(const ConfigReader& in, Windows windows, const TransformerConfig& c) {
  std::vector<int> sizes(static_cast<std::size_t>(c.layers), c.max_position);
  if (windows == Windows::none || in.is_null("sliding_window")) return sizes;
  if (windows == Windows::as_use_sliding_window && !in.get<bool>("use_sliding_window", false)) return sizes;
  const int size = std::min(in.positive("sliding_window", 4096), c.max_position);
  if (windows == Windows::every_layer) return std::vector<int>(sizes.size(), size);
  const auto types = in.get<std::vector<std::string>>("layer_types", {});
  if (!types.empty() && types.size() != sizes.size()) in.fail("layer_types does not list every layer");
  for (int layer = 0; layer < c.layers; ++layer)
    if (slides(in, types, layer)) sizes[static_cast<std::size_t>(layer)] = size;
  return sizes;
}

void read_biases(const ConfigReader& in, const Family& family, TransformerConfig* c) {
  const bool attention = family.biases == Biases::all ||
                         (family.biases == Biases::as_attention_bias && in.get<bool>("attention_bias", false));
  c->qkv_bias = attention || family.biases == Biases::qkv ? Bias::yes : Bias::no;
  c->output_bias = attention ? Bias::yes : Bias::no;
  c->mlp_bias = family.biases == Biases::all ? Bias::yes : Bias::no;
  c->head_bias = family.head_bias;
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
  const Family& family = family_of(in);
  check_switches(in, family);
  TransformerConfig c;
  c.architecture = family.architecture;
  c.norm = family.norm;
  c.activation = family.activation;
  c.residual = family.residual;
  c.query_key_norm = family.query_key_norm;
  read_shape(in, family, &c);
  check_shape(in, c);
  c.norm_epsilon = norm_epsilon_of(in, family);
  read_positions(in, family, &c);
  c.windows = windows_of(in, family.windows, c);
  read_biases(in, family, &c);
  c.tied_head = in.get<bool>("tie_word_embeddings", family.tied_head);
  c.end_tokens = end_tokens_of(in, folder, c.vocabulary_size);
  return c;
}

}  // namespace shoal::lm
