#include "lm/part_sizes.hpp"

namespace shoal::lm {
namespace {

class Sizes {
 public:
  Sizes(const TransformerConfig& config, DType dtype, std::size_t stored_bytes)
      : c_(config), dtype_(dtype), stored_bytes_(stored_bytes) {}

  [[nodiscard]] ModelPart embedding() const {
    const int rows = c_.vocabulary_size + (c_.positions == Positions::learned ? c_.max_position : 0);
    const std::uint64_t parameters = product(rows, c_.hidden_size);
    return {"embedding", parameters, parameters * stored_bytes_};
  }
  [[nodiscard]] ModelPart attention() const {
    ModelPart layer{.name = "attention"};
    if (c_.norms_before()) add_norm(&layer);
    if (c_.norms_after()) add_norm(&layer);
    if (c_.head_norms != HeadNorms::none) add_floats(c_.query_norm_size() + c_.key_norm_size(), &layer);
    add_matrix(c_.query_size() + 2 * c_.kv_size(), c_.hidden_size, c_.qkv_bias, &layer);
    add_matrix(c_.hidden_size, c_.query_size(), c_.output_bias, &layer);
    return all_layers(layer);
  }
  [[nodiscard]] ModelPart mlp() const {
    ModelPart layer{.name = "mlp"};
    if (c_.mlp_norm_before()) add_norm(&layer);
    if (c_.norms_after()) add_norm(&layer);
    add_matrix(c_.up_size(), c_.hidden_size, c_.mlp_bias, &layer);
    add_matrix(c_.hidden_size, c_.intermediate_size, c_.mlp_bias, &layer);
    return all_layers(layer);
  }
  /// A tied head has no parameters of its own, but its own packed copy of the embedding.
  [[nodiscard]] ModelPart head() const {
    ModelPart part{.name = "head"};
    add_matrix(c_.vocabulary_size, c_.hidden_size, c_.head_bias, &part);
    if (c_.tied_head) part.parameters -= product(c_.vocabulary_size, c_.hidden_size);
    add_norm(&part);
    return part;
  }

 private:
  static std::uint64_t product(int a, int b) { return static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b); }
  static void add_floats(int count, ModelPart* part) {
    part->parameters += static_cast<std::uint64_t>(count);
    part->bytes += static_cast<std::uint64_t>(count) * sizeof(float);
  }
  void add_norm(ModelPart* part) const {
    add_floats(c_.norm == Norm::layer ? 2 * c_.hidden_size : c_.hidden_size, part);
  }
  void add_matrix(int outputs, int inputs, Bias bias, ModelPart* part) const {
    const std::uint64_t elements = product(outputs, inputs);
    part->parameters += elements;
    part->bytes += elements * (dtype_ == DType::f32 ? 4 : dtype_ == DType::bf16 ? 2 : 1);
    if (dtype_ == DType::int8) part->bytes += product(outputs, 8);  // a scale and an offset each
    if (bias == Bias::yes) add_floats(outputs, part);
  }
  [[nodiscard]] ModelPart all_layers(ModelPart layer) const {
    layer.parameters *= static_cast<std::uint64_t>(c_.layers);
    layer.bytes *= static_cast<std::uint64_t>(c_.layers);
    return layer;
  }

  const TransformerConfig& c_;
  DType dtype_;
  std::size_t stored_bytes_;
};

}  // namespace

std::vector<ModelPart> part_sizes(const TransformerConfig& config, DType dtype, std::size_t stored_bytes) {
  const Sizes sizes(config, dtype, stored_bytes);
  return {sizes.embedding(), sizes.attention(), sizes.mlp(), sizes.head()};
}

}  // namespace shoal::lm
