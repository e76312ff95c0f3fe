#include "lm/config.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "lm/config_reader.hpp"
#include "lm/json_file.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// What layer_types lists, and what rope_parameters are by.
constexpr const char* full_attention = "full_attention";
constexpr const char* sliding_attention = "sliding_attention";

/// Names of entries in config.json.
struct Keys {
  std::string hidden = "hidden_size", intermediate = "intermediate_size", layers = "num_hidden_layers";
  std::string heads = "num_attention_heads", max_position = "max_position_embeddings";
  std::string activation = "hidden_act", epsilon = "rms_norm_eps";
  std::string theta = "rope_theta", rotary_part = "partial_rotary_factor";
};

enum class Biases { none, as_attention_bias, qkv, mlp_and_as_attention_bias, all };
enum class Windows { none, every_layer, as_use_sliding_window, as_layer_types };

/// What an architecture's name says before config.json says anything; most only where config.json is silent.
struct Family {
  std::string architecture = {};
  Keys keys = {};
  Norm norm = Norm::rms;
  NormPlaces norm_places = NormPlaces::before;
  double norm_epsilon = 1e-6;
  float norm_offset = 0.0F;
  HeadNorms head_norms = HeadNorms::none;
  Activation activation = Activation::gated_silu;  ///< config.json may name another, gated as this one is or is not
  Residual residual = Residual::serial;
  Positions positions = Positions::rotary;
  double theta = 10000.0;
  double local_theta = 0.0;    ///< of layers with a window; 0: as all others
  bool partly_turned = false;  ///< config.json may say what part of a head turns
  double rotary_part = 1.0;
  int unturned_interval = 0;  ///< every so many layers one turns nothing; 0: all turn
  int original_context = 0;   ///< 0: max_position_embeddings
  Biases biases = Biases::none;
  Windows windows = Windows::none;
  int window = 4096;        ///< 0: none
  int window_interval = 0;  ///< every so many layers one has no window
  int head_dim = 0;         ///< 0: hidden size / heads
  Bias head_bias = Bias::no;
  bool tied_head = false;
  /// Reads what is in this family's config.json alone.
  void (*read_rest)(const ConfigReader& in, TransformerConfig* c) = [](const ConfigReader&, TransformerConfig*) {};
};

double positive_number(const ConfigReader& in, const std::string& key, double fallback) {
  const double value = in.get<double>(key, fallback);
  if (!(value > 1e-30 && value < 1e30)) in.fail(key + " is not positive");
  return value;
}

/// 0 where it is null, and by default.
double cap_of(const ConfigReader& in, const std::string& key, double fallback) {
  return in.is_null(key) || (fallback == 0.0 && !in.has(key)) ? 0.0 : positive_number(in, key, fallback);
}

void read_gemma(const ConfigReader& /*in*/, TransformerConfig* c) {
  c->embedding_scale = std::sqrt(static_cast<double>(c->hidden_size));
}

void read_query_scale(const ConfigReader& in, TransformerConfig* c) {
  c->attention_divisor = std::sqrt(static_cast<float>(positive_number(in, "query_pre_attn_scalar", 256.0)));
}

void read_gemma_2(const ConfigReader& in, TransformerConfig* c) {
  read_gemma(in, c);
  read_query_scale(in, c);
  c->attention_cap = cap_of(in, "attn_logit_softcapping", 50.0);
  c->logit_cap = cap_of(in, "final_logit_softcapping", 30.0);
}

void read_gemma_3(const ConfigReader& in, TransformerConfig* c) {
  read_gemma(in, c);
  read_query_scale(in, c);
  if (in.has("attn_logit_softcapping"))  // transformers reads it but leaves it out
    in.unsupported("attn_logit_softcapping in " + c->architecture, "a checkpoint where it is null");
  c->logit_cap = cap_of(in, "final_logit_softcapping", 0.0);
}

void check_phi_3(const ConfigReader& in, TransformerConfig* c) {
  const RotaryScaling scaling = c->rotaries.front().scaling;
  if (scaling != RotaryScaling::none && scaling != RotaryScaling::longrope)
    in.unsupported("rotary position scaling other than longrope in " + c->architecture, "a checkpoint with longrope");
}

void read_gpt_neox(const ConfigReader& in, TransformerConfig* c) {
  if (!in.get<bool>("use_parallel_residual", true)) c->residual = Residual::serial;
}

void read_granite(const ConfigReader& in, TransformerConfig* c) {
  c->embedding_scale = positive_number(in, "embedding_multiplier", 1.0);
  c->residual_scale = positive_number(in, "residual_multiplier", 1.0);
  c->attention_divisor = static_cast<float>(1.0 / positive_number(in, "attention_multiplier", 1.0));
  c->logit_scale = 1.0 / positive_number(in, "logits_scaling", 1.0);
}

const std::array families = {
    Family{.architecture = "LlamaForCausalLM", .biases = Biases::as_attention_bias},
    Family{.architecture = "MistralForCausalLM", .windows = Windows::every_layer},
    Family{.architecture = "Qwen2ForCausalLM", .biases = Biases::qkv, .windows = Windows::as_use_sliding_window},
    Family{.architecture = "Qwen3ForCausalLM",
           .head_norms = HeadNorms::each,
           .biases = Biases::as_attention_bias,
           .windows = Windows::as_use_sliding_window,
           .head_dim = 128},
    Family{.architecture = "GemmaForCausalLM",
           .norm_offset = 1.0F,
           .activation = Activation::gated_gelu_tanh,
           .biases = Biases::as_attention_bias,
           .head_dim = 256,
           .tied_head = true,
           .read_rest = read_gemma},
    Family{.architecture = "Gemma2ForCausalLM",
           .keys = {.activation = "hidden_activation"},
           .norm_places = NormPlaces::both,
           .norm_offset = 1.0F,
           .activation = Activation::gated_gelu_tanh,
           .biases = Biases::as_attention_bias,
           .windows = Windows::as_layer_types,
           .window_interval = 2,
           .head_dim = 256,
           .tied_head = true,
           .read_rest = read_gemma_2},
    Family{.architecture = "Gemma3ForCausalLM",
           .keys = {.activation = "hidden_activation"},
           .norm_places = NormPlaces::both,
           .norm_offset = 1.0F,
           .head_norms = HeadNorms::each,
           .activation = Activation::gated_gelu_tanh,
           .theta = 1e6,
           .local_theta = 1e4,
           .biases = Biases::as_attention_bias,
           .windows = Windows::as_layer_types,
           .window_interval = 6,
           .head_dim = 256,
           .tied_head = true,
           .read_rest = read_gemma_3},
    Family{.architecture = "PhiForCausalLM",
           .keys = {.epsilon = "layer_norm_eps"},
           .norm = Norm::layer,
           .norm_epsilon = 1e-5,
           .activation = Activation::gelu_tanh,
           .residual = Residual::parallel,
           .partly_turned = true,
           .rotary_part = 0.5,
           .biases = Biases::all,
           .head_bias = Bias::yes},
    Family{.architecture = "Phi3ForCausalLM",
           .norm_epsilon = 1e-5,
           .partly_turned = true,
           .original_context = 4096,
           .windows = Windows::every_layer,
           .window = 0,
           .read_rest = check_phi_3},
    Family{.architecture = "SmolLM3ForCausalLM",
           .theta = 2e6,
           .unturned_interval = 4,
           .biases = Biases::as_attention_bias,
           .windows = Windows::as_use_sliding_window,
           .window = 0,
           .tied_head = true},
    Family{.architecture = "Olmo2ForCausalLM",
           .norm_places = NormPlaces::after,
           .norm_epsilon = 1e-5,
           .head_norms = HeadNorms::together,
           .biases = Biases::as_attention_bias},
    Family{.architecture = "GraniteForCausalLM", .biases = Biases::as_attention_bias, .read_rest = read_granite},
    Family{.architecture = "GPTNeoXForCausalLM",
           .keys = {.epsilon = "layer_norm_eps", .theta = "rotary_emb_base", .rotary_part = "rotary_pct"},
           .norm = Norm::layer,
           .norm_epsilon = 1e-5,
           .activation = Activation::gelu,
           .residual = Residual::parallel_own_norm,
           .partly_turned = true,
           .rotary_part = 0.25,
           .biases = Biases::mlp_and_as_attention_bias,
           .read_rest = read_gpt_neox},
    Family{.architecture = "GPT2LMHeadModel",
           .keys = {.hidden = "n_embd",
                    .intermediate = "n_inner",
                    .layers = "n_layer",
                    .heads = "n_head",
                    .max_position = "n_positions",
                    .activation = "activation_function",
                    .epsilon = "layer_norm_epsilon"},
           .norm = Norm::layer,
           .norm_epsilon = 1e-5,
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

/// As transformers calls them.
struct NamedActivation {
  const char* name;
  Activation activation;
};
constexpr std::array named_activations = {NamedActivation{"silu", Activation::gated_silu},
                                          NamedActivation{"gelu_pytorch_tanh", Activation::gated_gelu_tanh},
                                          NamedActivation{"gelu_new", Activation::gelu_tanh},
                                          NamedActivation{"gelu_pytorch_tanh", Activation::gelu_tanh},
                                          NamedActivation{"gelu_fast", Activation::gelu_tanh},
                                          NamedActivation{"gelu", Activation::gelu}};

Activation activation_of(const ConfigReader& in, const Family& family) {
  if (!in.has(family.keys.activation)) return family.activation;
  auto name = in.get<std::string>(family.keys.activation, "");
  // The first files of Gemma say gelu, and mean its tanh form.
  if (family.architecture == "GemmaForCausalLM" && name == "gelu") name = "gelu_pytorch_tanh";
  std::string known;
  for (const NamedActivation& one : named_activations) {
    if (is_gated(one.activation) != is_gated(family.activation)) continue;
    if (name == one.name) return one.activation;
    known += (known.empty() ? "" : " or ") + std::string(one.name);
  }
  in.unsupported("activation " + shown(name), "a checkpoint with " + known);
}

/// Entries that change what is computed and that no other function reads.
void check_switches(const ConfigReader& in) {
  if (in.has("quantization_config")) in.unsupported("a quantized checkpoint", "the original checkpoint, with --dtype");
  for (const char* name : {"mlp_bias", "qk_layernorm", "scale_attn_by_inverse_layer_idx", "add_cross_attention",
                           "use_bidirectional_attention"})
    if (in.get<bool>(name, false)) in.unsupported(name, supported_checkpoints() + " without it");
  if (!in.get<bool>("scale_attn_weights", true))
    in.unsupported("scale_attn_weights = false", supported_checkpoints() + " without it");
}

double norm_epsilon_of(const ConfigReader& in, const Family& family) {
  const double epsilon = in.get<double>(family.keys.epsilon, family.norm_epsilon);
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
  c->rotaries.resize(static_cast<std::size_t>(c->layers));
  if (c->positions == Positions::learned) return;
  const Rotary rotary = read_rotary(in, {.head_dim = c->head_dim,
                                         .max_position = c->max_position,
                                         .part = in.get<double>(family.keys.rotary_part, family.rotary_part),
                                         .theta = in.get<double>(family.keys.theta, family.theta),
                                         .original_context = family.original_context,
                                         .layer_type = full_attention});
  if (rotary.dimensions != c->head_dim && !family.partly_turned)
    in.unsupported("partial_rotary_factor in " + family.architecture, "a checkpoint of Phi3ForCausalLM");
  std::fill(c->rotaries.begin(), c->rotaries.end(), rotary);
  const double original = std::min(rotary.original_context, 100'000'000.0);
  if (rotary.scaling == RotaryScaling::yarn)  // older files of Qwen2.5 leave the original context there
    c->max_position = std::max(c->max_position, static_cast<int>(std::min(original * rotary.factor, 100'000'000.0)));
  if (rotary.scaling == RotaryScaling::longrope)
    c->max_position = std::clamp(static_cast<int>(original), 1, c->max_position);
}

/// In some layers nothing turns.
void leave_unturned(const ConfigReader& in, const Family& family, TransformerConfig* c) {
  if (family.unturned_interval == 0) return;
  const int interval = in.positive("no_rope_layer_interval", family.unturned_interval);
  const auto turns = in.get<std::vector<int>>("no_rope_layers", {});  // which its name denies
  if (!turns.empty() && turns.size() < c->rotaries.size()) in.fail("no_rope_layers does not list every layer");
  for (std::size_t i = 0; i < c->rotaries.size(); ++i)
    if (turns.empty() ? (i + 1) % static_cast<std::size_t>(interval) == 0 : turns[i] == 0) c->rotaries[i] = {};
}

/// What layer_types says of every layer.
std::vector<bool> listed_as_sliding(const ConfigReader& in, const std::vector<std::string>& types, int layers) {
  if (types.size() != static_cast<std::size_t>(layers)) in.fail("layer_types does not list every layer");
  std::vector<bool> sliding;
  for (const std::string& type : types) {
    if (type != sliding_attention && type != full_attention)
      in.unsupported("layer type " + shown(type), "a checkpoint with full_attention and sliding_attention");
    sliding.push_back(type == sliding_attention);
  }
  return sliding;
}

bool has_windows(const ConfigReader& in, const Family& family) {
  if (family.windows == Windows::as_layer_types && in.is_null("sliding_window")) in.fail("sliding_window is null");
  if (family.windows == Windows::none || in.is_null("sliding_window")) return false;
  if (family.window == 0 && !in.has("sliding_window")) return false;
  return family.windows != Windows::as_use_sliding_window || in.get<bool>("use_sliding_window", false);
}

/// By layer, whether it has a sliding window.
std::vector<bool> sliding_layers(const ConfigReader& in, const Family& family, const TransformerConfig& c) {
  const auto types = in.get<std::vector<std::string>>("layer_types", {});
  if (family.windows != Windows::every_layer && !types.empty()) return listed_as_sliding(in, types, c.layers);
  const int interval = family.window_interval > 0 ? in.positive("sliding_window_pattern", family.window_interval) : 0;
  const int first = family.windows == Windows::every_layer ? 0 : in.get<int>("max_window_layers", 28);
  std::vector<bool> sliding;
  for (int layer = 0; layer < c.layers; ++layer)
    sliding.push_back(family.window_interval > 0     ? (layer + 1) % interval != 0
                      : family.unturned_interval > 0 ? c.rotaries[static_cast<std::size_t>(layer)].dimensions == 0
                                                     : layer >= first);
  return sliding;
}

/// Of layers with a window, where they turn otherwise than those without.
Rotary local_rotary(const ConfigReader& in, const Family& family, const TransformerConfig& c) {
  const RotaryDefaults defaults{.head_dim = c.head_dim,
                                .max_position = c.max_position,
                                .theta = positive_number(in, "rope_local_base_freq", family.local_theta),
                                .layer_type = sliding_attention};
  const bool has_own = in.has("rope_parameters") && in.at("rope_parameters").contains(sliding_attention);
  return has_own ? read_rotary(in, defaults) : Rotary{.dimensions = c.head_dim, .theta = defaults.theta};
}

void read_windows(const ConfigReader& in, const Family& family, TransformerConfig* c) {
  c->windows.assign(static_cast<std::size_t>(c->layers), c->max_position);
  if (!has_windows(in, family)) return;
  const int size = std::min(in.positive("sliding_window", family.window), c->max_position);
  const Rotary local = family.local_theta > 0.0 ? local_rotary(in, family, *c) : Rotary{};
  const std::vector<bool> sliding = sliding_layers(in, family, *c);
  for (std::size_t i = 0; i < sliding.size(); ++i) {
    if (!sliding[i]) continue;
    c->windows[i] = size;
    if (family.local_theta > 0.0) c->rotaries[i] = local;
  }
}

void read_biases(const ConfigReader& in, const Family& family, TransformerConfig* c) {
  const bool with_mlp = family.biases == Biases::mlp_and_as_attention_bias;
  const bool attention = family.biases == Biases::all || ((with_mlp || family.biases == Biases::as_attention_bias) &&
                                                          in.get<bool>("attention_bias", with_mlp));
  c->qkv_bias = attention || family.biases == Biases::qkv ? Bias::yes : Bias::no;
  c->output_bias = attention ? Bias::yes : Bias::no;
  c->mlp_bias = with_mlp || family.biases == Biases::all ? Bias::yes : Bias::no;
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
  check_switches(in);
  TransformerConfig c;
  c.architecture = family.architecture;
  c.norm = family.norm;
  c.norm_places = family.norm_places;
  c.norm_offset = family.norm_offset;
  c.head_norms = family.head_norms;
  c.activation = activation_of(in, family);
  c.residual = family.residual;
  read_shape(in, family, &c);
  check_shape(in, c);
  c.norm_epsilon = norm_epsilon_of(in, family);
  c.attention_divisor = std::sqrt(static_cast<float>(c.head_dim));
  read_positions(in, family, &c);
  leave_unturned(in, family, &c);
  read_windows(in, family, &c);
  read_biases(in, family, &c);
  c.tied_head = in.get<bool>("tie_word_embeddings", family.tied_head);
  family.read_rest(in, &c);
  c.end_tokens = end_tokens_of(in, folder, c.vocabulary_size);
  return c;
}

}  // namespace shoal::lm
