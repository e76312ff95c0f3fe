// TransformerConfig: what config.json and generation_config.json say of a decoder-only transformer. Families: Llama,
// Mistral, Qwen2 (which includes Qwen1.5), Qwen3, Phi and GPT-2. They differ only in what this structure says.
#pragma once

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "lm/rotary.hpp"
#include "shoal/ids.hpp"

namespace shoal::lm {

enum class Bias { no, yes };
enum class Norm { rms, layer };
/// silu(gate) * up, or gelu in its tanh form of a single product.
enum class Activation { gated_silu, gelu_tanh };
/// The MLP reads what attention has added to, or the same as attention.
enum class Residual { serial, parallel };
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
  double norm_epsilon = 1e-6;
  bool query_key_norm = false;  ///< of every head, before it turns
  Positions positions = Positions::rotary;
  Rotary rotary;
  std::vector<int> windows;  ///< by layer: positions that a token sees, itself included; max_position if all
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
  [[nodiscard]] int up_size() const {
    return activation == Activation::gated_silu ? 2 * intermediate_size : intermediate_size;
  }
};

/// @throws ModelError for a missing or senseless entry, or for what is not supported, naming it
TransformerConfig load_config(const std::filesystem::path& folder);

}  // namespace shoal::lm
