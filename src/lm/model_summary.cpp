#include "lm/model_summary.hpp"

#include "base/isa.hpp"
#include "lm/cpu/matmul.hpp"
#include "lm/fingerprint.hpp"
#include "lm/json_file.hpp"
#include "lm/part_sizes.hpp"
#include "lm/tensor_names.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

std::string checkpoint_hash(const fs::path& folder, const Safetensors& weights) {
  Fnv1a hash;
  hash.add(read_text_file(folder / "config.json"));
  hash.add(weights.fingerprint());
  return to_hex(hash.value());
}

std::size_t stored_bytes(const TransformerConfig& config, const Safetensors& weights) {
  const TensorNames& names = tensor_names(config.architecture);
  const Tensor& embedding = weights.get(prefix_in(weights, names) + names.embedding + ".weight",
                                        {config.vocabulary_size, config.hidden_size});
  return embedding.bytes.size() / embedding.elements();
}

}  // namespace

std::string type_name(DType dtype) { return dtype == DType::int8 ? "int8" : dtype == DType::bf16 ? "bf16" : "f32"; }

ModelSummary summarize(std::string id, const fs::path& folder, const TransformerConfig& config,
                       const Safetensors& weights, DType dtype, KvDType kv_dtype) {
  const cpu::OperandType operands = cpu::operands_of(dtype);
  const DType operand_dtype = operands == cpu::OperandType::bf16 ? DType::bf16 : DType::f32;
  const DType products = dtype == DType::int8 ? dtype : operand_dtype;
  const auto layout = cpu::head_layout(cpu::format_of(kv_dtype), operands, config.head_dim);
  ModelSummary summary{.id = std::move(id),
                       .architecture = config.architecture,
                       .device = "cpu",
                       .isa = name_of(used_isa()),
                       .dtype = type_name(products),
                       .kv_dtype = type_name(kv_dtype == KvDType::int8 ? DType::int8 : operand_dtype),
                       .hash = checkpoint_hash(folder, weights),
                       .kv_bytes_per_token = layout.bytes() / cpu::block_positions *
                                             static_cast<std::uint64_t>(config.layers) *
                                             static_cast<std::uint64_t>(config.kv_heads),
                       .vocabulary_size = config.vocabulary_size,
                       .max_context = config.max_position,
                       .window = config.widest_window() < config.max_position ? config.widest_window() : 0,
                       .parts = part_sizes(config, products, stored_bytes(config, weights))};
  for (const ModelPart& part : summary.parts) {
    summary.parameters += part.parameters;
    summary.weight_bytes += part.bytes;
  }
  return summary;
}

}  // namespace shoal::lm
