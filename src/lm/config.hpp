// TransformerConfig: what config.json and generation_config.json say of a decoder-only transformer. Families: Llama,
// Mistral, Qwen2 (which includes Qwen1.5), Qwen3, Phi, Phi-3 (which includes Phi-4-mini), GPT-2, GPT-NeoX, Gemma 1 to
// 3, SmolLM3, OLMo 2 and Granite. They differ only in what this structure says.
#pragma once

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "lm/activation.hpp"
#include "lm/rotary.hpp"
#include "shoal/ids.hpp"

namespace shoal::lm {

enum class Bias { no, yes };
enum class Norm { rms, layer };
/// Where a layer's norms lie: before attention and MLP, after them, of what they add, or both.
enum class NormPlaces { before, after, both };
/// Of queries and keys before they turn: of every head, or of all heads together.
enum class HeadNorms { none, each, together };
/// The MLP reads what attention has added to, or the same as attention, normalized with it or by a norm of its own.
enum class Residual { serial, parallel, parallel_own_norm };
enum class Positions { rotary, learned };

struct TransformerConfig {
  std::string architecture;  ///< as in config.json
  int vocabulary_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int max_position = 0;
  Norm norm = Norm::rms;
  NormPlaces norm_places = NormPlaces::before;
  double norm_epsilon = 1e-6;
  float norm_offset = 0.0F;  ///< of the norms' weights, which the checkpoint has without it
  HeadNorms head_norms = HeadNorms::none;
  Positions positions = Positions::rotary;
  std::vector<Rotary> rotaries;  ///< by layer; of 0 dimensions where nothing turns
  std::vector<int> windows;      ///< by layer: positions that a token sees, itself included; max_position if all
  double embedding_scale = 1.0;
  double residual_scale = 1.0;     ///< of what attention and MLP add
  float attention_divisor = 1.0F;  ///< of products of queries and keys
  double attention_cap = 0.0;      ///< these become cap * tanh(x / cap); 0: they stay as they are
  double logit_scale = 1.0;
  double logit_cap = 0.0;  ///< as attention_cap
  Activation activation = Activation::gated_silu;
  Residual residual = Residual::serial;
  Bias qkv_bias = Bias::no;
  Bias output_bias = Bias::no;  ///< of the attention's output projection
  Bias mlp_bias = Bias::no;
  Bias head_bias = Bias::no;
  bool tied_head = false;
  std::vector<TokenId> end_tokens;

  /// Positions that a token sees in the layers where it sees most.
  [[nodiscard]] int widest_window() const {
    return windows.empty() ? std::numeric_limits<int>::max() : *std::max_element(windows.begin(), windows.end());
  }
  [[nodiscard]] int query_size() const { return heads * head_dim; }
  [[nodiscard]] int kv_size() const { return kv_heads * head_dim; }
  /// Outputs of the MLP's first product.
  [[nodiscard]] int up_size() const { return is_gated(activation) ? 2 * intermediate_size : intermediate_size; }
  [[nodiscard]] bool norms_before() const { return norm_places != NormPlaces::after; }
  [[nodiscard]] bool norms_after() const { return norm_places != NormPlaces::before; }
  /// Whether the MLP has a norm before it that is not attention's.
  [[nodiscard]] bool mlp_norm_before() const { return norms_before() && residual != Residual::parallel; }
  /// Weights of the norm of queries, and of that of keys.
  [[nodiscard]] int query_norm_size() const { return head_norms == HeadNorms::each ? head_dim : query_size(); }
  [[nodiscard]] int key_norm_size() const { return head_norms == HeadNorms::each ? head_dim : kv_size(); }
};

/// @throws ModelError for a missing or senseless entry, or for what is not supported, naming it
TransformerConfig load_config(const std::filesystem::path& folder);

}  // namespace shoal::lm
