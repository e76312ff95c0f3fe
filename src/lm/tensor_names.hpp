// TensorNames: what a family calls its tensors, and how it stores them.
#pragma once

#include <string>
#include <vector>

#include "lm/config.hpp"
#include "lm/safetensors.hpp"

namespace shoal::lm {

enum class MatrixLayout { outputs_inputs, inputs_outputs };

/// Without ".weight" and ".bias". All but the head's begin with the prefix, which some checkpoints leave out.
struct TensorNames {
  std::string prefix;
  std::string embedding;
  std::string positions = {};             ///< empty if there are none
  std::string layer;                      ///< before a layer's number
  std::string attention_norm;             ///< before attention; this and others are empty where there is no such norm
  std::string mlp_norm = {};              ///< before the MLP
  std::string after_attention_norm = {};  ///< of what attention adds
  std::string after_mlp_norm = {};        ///< of what the MLP adds
  std::string query_norm = {}, key_norm = {};  ///< where heads have norms
  std::vector<std::string> attention;          ///< query, key and value, or one tensor of all three
  std::string output;
  bool head_by_head = false;    ///< that one tensor has each head's query, key and value together
  std::vector<std::string> up;  ///< gate and up, one tensor of both, or up alone
  std::string down;
  std::string final_norm;
  std::string head;
  MatrixLayout layout = MatrixLayout::outputs_inputs;  ///< of the layers' products
};

/// @param architecture one that load_config accepts
const TensorNames& tensor_names(const std::string& architecture);
/// The names' prefix, or nothing if the checkpoint leaves it out.
std::string prefix_in(const Safetensors& weights, const TensorNames& names);

/// One of several tensors that lie one below the other in a product.
struct MatrixPart {
  std::string name;
  int outputs = 0;
  int head_dim = 0;  ///< if there are any, its rows come head by head: so many of query, key and value each; else 0

  /// Where in the tensor a row of the product lies: of all queries, then all keys, then all values.
  [[nodiscard]] std::size_t stored_row(std::size_t row) const;
};
/// @param at the layer's beginning of all names
std::vector<MatrixPart> attention_parts(const TensorNames& names, const TransformerConfig& config,
                                        const std::string& at);
std::vector<MatrixPart> up_parts(const TensorNames& names, const TransformerConfig& config, const std::string& at);

}  // namespace shoal::lm
