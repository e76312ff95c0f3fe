#include "lm/cpu/transformer_weights.hpp"

#include <string>

#include "lm/cpu/weight_reader.hpp"
#include "lm/tensor_names.hpp"

namespace shoal::lm::cpu {
namespace {

using Parts = std::vector<MatrixPart>;

/// Reads the parts of a transformer under its family's names.
class FamilyReader {
 public:
  FamilyReader(const TransformerConfig& config, WeightReader* in)
      : c_(config), in_(*in), names_(tensor_names(config.architecture)), prefix_(prefix_in(in->file(), names_)) {}

  TransformerWeights read() {
    TransformerWeights w;
    w.embedding = &in_.tensor(prefix_ + names_.embedding + ".weight", {c_.vocabulary_size, c_.hidden_size});
    if (c_.positions == Positions::learned)
      w.positions = &in_.tensor(prefix_ + names_.positions + ".weight", {c_.max_position, c_.hidden_size});
    w.head = head(*w.embedding);  // the largest matrix first, see WeightMemory::take
    for (int i = 0; i < c_.layers; ++i) w.layers.push_back(layer(prefix_ + names_.layer + std::to_string(i) + "."));
    w.final_norm = norm(prefix_ + names_.final_norm);
    in_.finish();
    w.parameters = in_.parameters();
    w.bytes = in_.packed_bytes() + w.embedding->bytes.size();
    if (w.positions != nullptr) w.bytes += w.positions->bytes.size();
    return w;
  }

 private:
  Layer layer(const std::string& at) {
    Layer l;
    if (c_.norms_before()) l.attention_norm = norm(at + names_.attention_norm);
    if (c_.mlp_norm_before()) l.mlp_norm = norm(at + names_.mlp_norm);
    if (c_.norms_after()) {
      l.after_attention_norm = norm(at + names_.after_attention_norm);
      l.after_mlp_norm = norm(at + names_.after_mlp_norm);
    }
    if (c_.head_norms != HeadNorms::none) {
      l.query_norm = norm_weights(at + names_.query_norm, c_.query_norm_size());
      l.key_norm = norm_weights(at + names_.key_norm, c_.key_norm_size());
    }
    l.query_key_value = linear(attention_parts(names_, c_, at), c_.hidden_size, c_.qkv_bias);
    l.output = linear({{at + names_.output, c_.hidden_size}}, c_.query_size(), c_.output_bias);
    l.up = linear(up_parts(names_, c_, at), c_.hidden_size, c_.mlp_bias);
    l.down = linear({{at + names_.down, c_.hidden_size}}, c_.intermediate_size, c_.mlp_bias);
    return l;
  }
  Linear linear(const Parts& parts, int inputs, Bias bias) {
    Linear linear{in_.matrix(parts, inputs, names_.layout), {}};
    if (bias == Bias::yes) linear.bias = in_.biases(parts);
    return linear;
  }
  std::vector<float> norm_weights(const std::string& name, int size) {
    std::vector<float> weights = in_.vector(name + ".weight", size);
    for (float& weight : weights) weight += c_.norm_offset;
    return weights;
  }
  NormWeights norm(const std::string& name) {
    NormWeights norm{norm_weights(name, c_.hidden_size), {}};
    if (c_.norm == Norm::layer) norm.bias = in_.vector(name + ".bias", c_.hidden_size);
    return norm;
  }
  Linear head(const Tensor& embedding) {
    Linear head;
    head.matrix = in_.matrix(c_.tied_head ? embedding
                                          : in_.tensor(names_.head + ".weight", {c_.vocabulary_size, c_.hidden_size}));
    if (c_.head_bias == Bias::yes) head.bias = in_.vector(names_.head + ".bias", c_.vocabulary_size);
    return head;
  }

  const TransformerConfig& c_;
  WeightReader& in_;
  const TensorNames& names_;
  std::string prefix_;
};

}  // namespace

TransformerWeights read_weights(const TransformerConfig& config, const Safetensors& weights, MatrixPacker packer) {
  WeightReader in(weights, std::move(packer));
  return FamilyReader(config, &in).read();
}

}  // namespace shoal::lm::cpu
