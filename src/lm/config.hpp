// TransformerConfig: what config.json and generation_config.json say of a decoder-only transformer. Families: Llama and
// Qwen2 (which includes Qwen1.5): RMSNorm, rotary positions, grouped queries, SwiGLU.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::lm {

enum class Bias { no, yes };

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
  double rms_epsilon = 1e-6;
  double rope_theta = 10000.0;
  Bias qkv_bias = Bias::no;
  Bias output_bias = Bias::no;  ///< of the attention's output projection
  bool tied_head = false;
  std::vector<TokenId> end_tokens;

  [[nodiscard]] int query_size() const { return heads * head_dim; }
  [[nodiscard]] int kv_size() const { return kv_heads * head_dim; }
};

/// @throws ModelError for a missing or senseless entry, or for what is not supported, naming it
TransformerConfig load_config(const std::filesystem::path& folder);

}  // namespace shoal::lm
