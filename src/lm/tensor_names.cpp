#include "lm/tensor_names.hpp"

namespace shoal::lm {
namespace {

const TensorNames llama{.prefix = "model.",
                        .embedding = "embed_tokens",
                        .positions = "",
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
                      .positions = "",
                      .layer = "layers.",
                      .attention_norm = "input_layernorm",
                      .mlp_norm = "",
                      .query_norm = "",
                      .key_norm = "",
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
                       .query_norm = "",
                       .key_norm = "",
                       .attention = {"attn.c_attn"},
                       .output = "attn.c_proj",
                       .up = {"mlp.c_fc"},
                       .down = "mlp.c_proj",
                       .final_norm = "ln_f",
                       .head = "lm_head",
                       .layout = MatrixLayout::inputs_outputs};

}  // namespace

const TensorNames& tensor_names(const std::string& architecture) {
  if (architecture == "PhiForCausalLM") return phi;
  if (architecture == "GPT2LMHeadModel") return gpt2;
  return llama;  // Mistral, Qwen2 and Qwen3 too
}

std::string prefix_in(const Safetensors& weights, const TensorNames& names) {
  return weights.contains(names.embedding + ".weight") ? "" : names.prefix;
}

std::vector<MatrixPart> attention_parts(const TensorNames& names, const TransformerConfig& config,
                                        const std::string& at) {
  const auto& tensors = names.attention;
  if (tensors.size() == 1) return {{at + tensors[0], config.query_size() + 2 * config.kv_size()}};
  return {
      {at + tensors[0], config.query_size()}, {at + tensors[1], config.kv_size()}, {at + tensors[2], config.kv_size()}};
}

std::vector<MatrixPart> up_parts(const TensorNames& names, const TransformerConfig& config, const std::string& at) {
  std::vector<MatrixPart> parts;
  for (const std::string& name : names.up) parts.push_back({at + name, config.intermediate_size});
  return parts;
}

}  // namespace shoal::lm
