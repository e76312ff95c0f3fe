#include "lm/tensor_names.hpp"

namespace shoal::lm {
namespace {

const TensorNames llama{.prefix = "model.",
                        .embedding = "embed_tokens",
                        .layer = "layers.",
                        .attention_norm = "input_layernorm",
                        .mlp_norm = "post_attention_layernorm",
                        .query_norm = "self_attn.q_norm",
                        .key_norm = "self_attn.k_norm",
                        .attention = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
                        .output = "self_attn.o_proj",
                        .up = {"mlp.gate_proj", "mlp.up_proj"},
                        .down = "mlp.down_proj",
                        .final_norm = "norm",
                        .head = "lm_head"};

const TensorNames phi{.prefix = "model.",
                      .embedding = "embed_tokens",
                      .layer = "layers.",
                      .attention_norm = "input_layernorm",
                      .attention = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
                      .output = "self_attn.dense",
                      .up = {"mlp.fc1"},
                      .down = "mlp.fc2",
                      .final_norm = "final_layernorm",
                      .head = "lm_head"};

const TensorNames gpt2{.prefix = "transformer.",
                       .embedding = "wte",
                       .positions = "wpe",
                       .layer = "h.",
                       .attention_norm = "ln_1",
                       .mlp_norm = "ln_2",
                       .attention = {"attn.c_attn"},
                       .output = "attn.c_proj",
                       .up = {"mlp.c_fc"},
                       .down = "mlp.c_proj",
                       .final_norm = "ln_f",
                       .head = "lm_head",
                       .layout = MatrixLayout::inputs_outputs};

const TensorNames gpt_neox{.prefix = "gpt_neox.",
                           .embedding = "embed_in",
                           .layer = "layers.",
                           .attention_norm = "input_layernorm",
                           .mlp_norm = "post_attention_layernorm",
                           .attention = {"attention.query_key_value"},
                           .output = "attention.dense",
                           .head_by_head = true,
                           .up = {"mlp.dense_h_to_4h"},
                           .down = "mlp.dense_4h_to_h",
                           .final_norm = "final_layer_norm",
                           .head = "embed_out"};

TensorNames fused(TensorNames names) {
  names.attention = {"self_attn.qkv_proj"};
  names.up = {"mlp.gate_up_proj"};
  return names;
}

/// Of families whose norms do not all lie before attention and MLP.
TensorNames with_norms_after(TensorNames names) {
  names.mlp_norm = "pre_feedforward_layernorm";
  names.after_attention_norm = "post_attention_layernorm";
  names.after_mlp_norm = "post_feedforward_layernorm";
  return names;
}

const TensorNames phi3 = fused(llama);
const TensorNames gemma2 = with_norms_after(llama);

}  // namespace

const TensorNames& tensor_names(const std::string& architecture) {
  if (architecture == "PhiForCausalLM") return phi;
  if (architecture == "Phi3ForCausalLM") return phi3;
  if (architecture == "GPT2LMHeadModel") return gpt2;
  if (architecture == "GPTNeoXForCausalLM") return gpt_neox;
  for (const char* name : {"Gemma2ForCausalLM", "Gemma3ForCausalLM", "Olmo2ForCausalLM"})
    if (architecture == name) return gemma2;
  return llama;  // all others too
}

std::string prefix_in(const Safetensors& weights, const TensorNames& names) {
  return weights.contains(names.embedding + ".weight") ? "" : names.prefix;
}

std::size_t MatrixPart::stored_row(std::size_t row) const {
  if (head_dim == 0) return row;
  const auto dim = static_cast<std::size_t>(head_dim), heads = static_cast<std::size_t>(outputs) / 3 / dim;
  const std::size_t which = row / dim / heads, head = row / dim % heads;
  return (head * 3 + which) * dim + row % dim;
}

std::vector<MatrixPart> attention_parts(const TensorNames& names, const TransformerConfig& config,
                                        const std::string& at) {
  const auto& tensors = names.attention;
  if (tensors.size() == 1)
    return {{at + tensors[0], config.query_size() + 2 * config.kv_size(), names.head_by_head ? config.head_dim : 0}};
  return {
      {at + tensors[0], config.query_size()}, {at + tensors[1], config.kv_size()}, {at + tensors[2], config.kv_size()}};
}

std::vector<MatrixPart> up_parts(const TensorNames& names, const TransformerConfig& config, const std::string& at) {
  if (names.up.size() == 1) return {{at + names.up[0], config.up_size()}};
  std::vector<MatrixPart> parts;
  for (const std::string& name : names.up) parts.push_back({at + name, config.intermediate_size});
  return parts;
}

}  // namespace shoal::lm
