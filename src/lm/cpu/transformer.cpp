#include "lm/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/parallel.hpp"
#include "lm/cpu/int8_matrix.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/matmul.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

using cpu::block_positions;
using cpu::PackedMatrixPtr;

/// Rows computed together: enough to reach the processor's rate, few enough that activations stay in its caches.
constexpr std::size_t chunk_rows = 256;

struct Layer {
  std::vector<float> attention_norm, mlp_norm;
  std::vector<float> qkv_bias, output_bias;  ///< empty if there are none
  PackedMatrixPtr qkv, output, gate_up, down;
};

/// Tensors with equal inputs, one below the other, in a type that the packer reads.
class StackedMatrix {
 public:
  explicit StackedMatrix(std::vector<const Tensor*> parts) : parts_(std::move(parts)) {
    const auto type = parts_.front()->type;
    const bool direct = std::all_of(parts_.begin(), parts_.end(),
                                    [&](const Tensor* t) { return t->type == type && type != StorageType::f16; });
    view_.inputs = static_cast<int>(parts_.front()->shape[1]);
    for (const Tensor* part : parts_) view_.outputs += static_cast<int>(part->shape[0]);
    view_.type = direct && type == StorageType::bf16 ? cpu::OperandType::bf16 : cpu::OperandType::f32;
    if (direct && parts_.size() == 1 && is_aligned(parts_.front()->bytes.data()))
      view_.data = parts_.front()->bytes.data();
    else
      view_.data = direct ? copy_bytes() : convert();
  }
  [[nodiscard]] const cpu::MatrixView& view() const { return view_; }

 private:
  /// A header may end anywhere.
  static bool is_aligned(const std::byte* data) { return reinterpret_cast<std::uintptr_t>(data) % sizeof(float) == 0; }
  const void* copy_bytes() {
    for (const Tensor* part : parts_) bytes_.insert(bytes_.end(), part->bytes.begin(), part->bytes.end());
    return bytes_.data();
  }
  const void* convert() {
    floats_.resize(static_cast<std::size_t>(view_.outputs) * static_cast<std::size_t>(view_.inputs));
    std::size_t at = 0;
    for (const Tensor* part : parts_) {
      part->read(0, std::span(floats_).subspan(at, part->elements()));
      at += part->elements();
    }
    return floats_.data();
  }
  std::vector<const Tensor*> parts_;
  std::vector<std::byte> bytes_;
  std::vector<float> floats_;
  cpu::MatrixView view_;
};

/// Reads tensors by name, counting parameters.
class WeightReader {
 public:
  WeightReader(const Safetensors& weights, cpu::OperandType type, cpu::WeightFormat format)
      : weights_(weights), packer_(type, format) {}

  const Tensor& tensor(const std::string& name, std::vector<std::int64_t> shape) {
    const Tensor& found = weights_.get(name, shape);
    parameters_ += found.elements();
    return found;
  }
  std::vector<float> vector(const std::string& name, std::int64_t size) { return tensor(name, {size}).read_all(); }
  PackedMatrixPtr matrix(std::vector<const Tensor*> parts) {
    PackedMatrixPtr packed = packer_.pack(StackedMatrix(std::move(parts)).view());
    bytes_ += packed->bytes();
    return packed;
  }
  [[nodiscard]] std::uint64_t parameters() const { return parameters_; }
  [[nodiscard]] std::uint64_t packed_bytes() const { return bytes_; }

 private:
  const Safetensors& weights_;
  cpu::MatrixPacker packer_;
  std::uint64_t parameters_ = 0;
  std::uint64_t bytes_ = 0;
};

Layer read_layer(const TransformerConfig& c, int index, WeightReader* in) {
  const std::string at = "model.layers." + std::to_string(index) + ".";
  const std::string attention = at + "self_attn.";
  const auto linear = [&](const std::string& name, int outputs, int inputs) {
    return &in->tensor(name + ".weight", {outputs, inputs});
  };
  const int q = c.query_size(), kv = c.kv_size(), h = c.hidden_size, m = c.intermediate_size;
  Layer layer{
      in->vector(at + "input_layernorm.weight", h),
      in->vector(at + "post_attention_layernorm.weight", h),
      {},
      {},
      in->matrix({linear(attention + "q_proj", q, h), linear(attention + "k_proj", kv, h),
                  linear(attention + "v_proj", kv, h)}),
      in->matrix({linear(attention + "o_proj", h, q)}),
      in->matrix({linear(at + "mlp.gate_proj", m, h), linear(at + "mlp.up_proj", m, h)}),
      in->matrix({linear(at + "mlp.down_proj", h, m)}),
  };
  if (c.qkv_bias == Bias::yes)
    for (const auto& [name, size] : {std::pair{"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}}) {
      const std::vector<float> part = in->vector(attention + name + ".bias", size);
      layer.qkv_bias.insert(layer.qkv_bias.end(), part.begin(), part.end());
    }
  if (c.output_bias == Bias::yes) layer.output_bias = in->vector(attention + "o_proj.bias", h);
  return layer;
}

void add(std::span<const float> from, float* to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

/// T: type of the products' operands and of the keys and values.
template <class T>
class CpuTransformer final : public Transformer {
 public:
  CpuTransformer(const TransformerConfig& config, std::shared_ptr<const Safetensors> weights, cpu::WeightFormat format)
      : config_(config), weights_(std::move(weights)), kernels_(cpu::kernels<T>()), format_(format) {
    WeightReader in(*weights_, cpu::operand_type<T>, format);
    embedding_ = &in.tensor("model.embed_tokens.weight", {config.vocabulary_size, config.hidden_size});
    for (int i = 0; i < config.layers; ++i) layers_.push_back(read_layer(config, i, &in));
    final_norm_ = in.vector("model.norm.weight", config.hidden_size);
    const Tensor* head =
        config.tied_head ? embedding_ : &in.tensor("lm_head.weight", {config.vocabulary_size, config.hidden_size});
    head_ = in.matrix({head});
    parameters_ = in.parameters();
    weight_bytes_ = in.packed_bytes() + embedding_->bytes.size();
    for (int i = 0; i < config.head_dim / 2; ++i)
      frequencies_.push_back(std::pow(config.rope_theta, -2.0 * i / config.head_dim));
  }

  [[nodiscard]] const TransformerConfig& config() const override { return config_; }
  [[nodiscard]] DType dtype() const override {
    if (format_ == cpu::WeightFormat::int8) return DType::int8;
    return cpu::operand_type<T> == cpu::OperandType::bf16 ? DType::bf16 : DType::f32;
  }
  [[nodiscard]] std::uint64_t parameters() const override { return parameters_; }
  [[nodiscard]] std::uint64_t weight_bytes() const override { return weight_bytes_; }
  [[nodiscard]] std::size_t block_bytes() const override {
    return static_cast<std::size_t>(config_.layers) * static_cast<std::size_t>(config_.kv_heads) * head_elements() *
           sizeof(T);
  }

  void forward(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers* buffers,
               std::span<float> logits) const override {
    while (!rows.empty()) {
      const auto chunk = rows.first(std::min(rows.size(), chunk_rows));
      const std::size_t used = forward_chunk(chunk, pool, buffers, logits);
      rows = rows.subspan(chunk.size());
      logits = logits.subspan(used);
    }
  }

 private:
  /// Everything that a layer reads and writes, for one chunk.
  struct Pass {
    std::span<const TokenRow> rows;
    std::vector<std::size_t> table_begin;  ///< by row, its first entry of buffers.blocks
    BlockPool* pool;
    ForwardBuffers& b;
    /// Rows of the layers' products; what lies in those beyond rows.size() does not matter.
    [[nodiscard]] int product_rows() const { return cpu::padded_rows(static_cast<int>(rows.size())); }
    [[nodiscard]] T* operand() const { return reinterpret_cast<T*>(b.operand.data()); }
  };

  /// Of one key/value head of one block: keys, then values.
  [[nodiscard]] std::size_t head_elements() const {
    return static_cast<std::size_t>(2 * config_.head_dim * block_positions);
  }
  [[nodiscard]] std::size_t head_offset(std::size_t layer, int kv_head) const {
    return (layer * static_cast<std::size_t>(config_.kv_heads) + static_cast<std::size_t>(kv_head)) * head_elements();
  }
  [[nodiscard]] std::size_t hidden() const { return static_cast<std::size_t>(config_.hidden_size); }
  [[nodiscard]] std::size_t qkv_size() const {
    return static_cast<std::size_t>(config_.query_size() + 2 * config_.kv_size());
  }

  std::size_t forward_chunk(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers* buffers,
                            std::span<float> logits) const {
    Pass pass{rows, {}, pool, *buffers};
    resize(&pass);
    find_blocks(&pass);
    fill_rotations(&pass);
    parallel_for(rows.size(), [&](std::size_t r) {
      float* x = pass.b.residual.data() + r * hidden();
      embedding_->read(static_cast<std::size_t>(rows[r].token.value()) * hidden(), std::span(x, hidden()));
    });
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      attention_part(i, &pass);
      mlp_part(layers_[i], &pass);
    }
    return write_logits(&pass, logits);
  }

  void resize(Pass* pass) const {
    const auto m = static_cast<std::size_t>(pass->product_rows());
    const auto intermediate = static_cast<std::size_t>(config_.intermediate_size);
    const auto grow = [](auto* buffer, std::size_t size) {
      if (buffer->size() < size) buffer->resize(size);
    };
    grow(&pass->b.residual, m * hidden());
    grow(&pass->b.projected, m * hidden());
    grow(&pass->b.query_key_value, m * qkv_size());
    grow(&pass->b.gate_up, m * 2 * intermediate);
    const std::size_t widest = std::max({hidden(), intermediate, static_cast<std::size_t>(config_.query_size())});
    grow(&pass->b.operand, m * widest * sizeof(T));
    grow(&pass->b.cosines, m * frequencies_.size());
    grow(&pass->b.sines, m * frequencies_.size());
  }

  static void find_blocks(Pass* pass) {
    pass->b.blocks.clear();
    for (const TokenRow& row : pass->rows) {
      pass->table_begin.push_back(pass->b.blocks.size());
      for (int i = 0; i <= row.position / block_positions; ++i)
        pass->b.blocks.push_back(pass->pool->data(row.table[static_cast<std::size_t>(i)]));
    }
  }

  void fill_rotations(Pass* pass) const {
    const std::size_t half = frequencies_.size();
    for (std::size_t r = 0; r < pass->rows.size(); ++r) {
      float* cosines = pass->b.cosines.data() + r * half;
      float* sines = pass->b.sines.data() + r * half;
      if (r > 0 && pass->rows[r].position == pass->rows[r - 1].position) {
        std::copy_n(cosines - half, half, cosines);
        std::copy_n(sines - half, half, sines);
        continue;
      }
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = pass->rows[r].position * frequencies_[i];
        cosines[i] = static_cast<float>(std::cos(angle));
        sines[i] = static_cast<float>(std::sin(angle));
      }
    }
  }

  void normalize(std::span<const float> weight, Pass* pass) const {
    parallel_for(pass->rows.size(), [&](std::size_t r) {
      kernels_.rms_norm(pass->b.residual.data() + r * hidden(), weight.data(), config_.hidden_size,
                        static_cast<float>(config_.rms_epsilon), pass->operand() + r * hidden());
    });
  }

  void add_projected(std::span<const float> bias, Pass* pass) const {
    parallel_for(pass->rows.size(), [&](std::size_t r) {
      float* x = pass->b.residual.data() + r * hidden();
      add(std::span(pass->b.projected).subspan(r * hidden(), hidden()), x);
      add(bias, x);
    });
  }

  void attention_part(std::size_t index, Pass* pass) const {
    const Layer& layer = layers_[index];
    normalize(layer.attention_norm, pass);
    layer.qkv->multiply(pass->operand(), pass->product_rows(), pass->b.query_key_value.data());
    parallel_for(pass->rows.size(), [&](std::size_t r) { place_token(index, r, pass); });
    const auto kv_heads = static_cast<std::size_t>(config_.kv_heads);
    parallel_for(pass->rows.size() * kv_heads, [&](std::size_t i) {
      const int group = config_.heads / config_.kv_heads;
      const int first = static_cast<int>(i % kv_heads) * group;
      for (int head = first; head < first + group; ++head) attend(index, i / kv_heads, head, pass);
    });
    layer.output->multiply(pass->operand(), pass->product_rows(), pass->b.projected.data());
    add_projected(layer.output_bias, pass);
  }

  /// Adds biases, rotates queries and keys, writes key and value to the block.
  void place_token(std::size_t layer, std::size_t r, Pass* pass) const {
    float* query = pass->b.query_key_value.data() + r * qkv_size();
    add(layers_[layer].qkv_bias, query);
    const int half = config_.head_dim / 2;
    const float* cosines = pass->b.cosines.data() + r * frequencies_.size();
    const float* sines = pass->b.sines.data() + r * frequencies_.size();
    for (int h = 0; h < config_.heads + config_.kv_heads; ++h)
      kernels_.rotate(query + h * config_.head_dim, cosines, sines, half);
    const float* key = query + config_.query_size();
    for (int h = 0; h < config_.kv_heads; ++h)
      write_key_value(layer, h, r, key + h * config_.head_dim, key + config_.kv_size() + h * config_.head_dim, pass);
  }

  void write_key_value(std::size_t layer, int kv_head, std::size_t r, const float* key, const float* value,
                       Pass* pass) const {
    const TokenRow& row = pass->rows[r];
    const int slot = row.position % block_positions;
    const BlockId block = row.table[static_cast<std::size_t>(row.position / block_positions)];
    T* keys = reinterpret_cast<T*>(pass->pool->data(block)) + head_offset(layer, kv_head);
    T* values = keys + config_.head_dim * block_positions + slot * config_.head_dim;
    T column[cpu::max_head_dim];
    kernels_.convert(key, config_.head_dim, column);
    for (int d = 0; d < config_.head_dim; ++d) keys[d * block_positions + slot] = column[d];
    kernels_.convert(value, config_.head_dim, values);
  }

  void attend(std::size_t layer, std::size_t r, int head, Pass* pass) const {
    const int group = config_.heads / config_.kv_heads;
    const auto offset = static_cast<std::size_t>(head * config_.head_dim);
    kernels_.attend({.query = pass->b.query_key_value.data() + r * qkv_size() + offset,
                     .blocks = pass->b.blocks.data() + pass->table_begin[r],
                     .offset = head_offset(layer, head / group),
                     .positions = pass->rows[r].position + 1,
                     .head_dim = config_.head_dim,
                     .scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim)),
                     .out = pass->operand() + r * static_cast<std::size_t>(config_.query_size()) + offset});
  }

  void mlp_part(const Layer& layer, Pass* pass) const {
    const auto intermediate = static_cast<std::size_t>(config_.intermediate_size);
    normalize(layer.mlp_norm, pass);
    layer.gate_up->multiply(pass->operand(), pass->product_rows(), pass->b.gate_up.data());
    parallel_for(pass->rows.size(), [&](std::size_t r) {
      const float* gate = pass->b.gate_up.data() + r * 2 * intermediate;
      kernels_.swiglu(gate, gate + intermediate, config_.intermediate_size, pass->operand() + r * intermediate);
    });
    layer.down->multiply(pass->operand(), pass->product_rows(), pass->b.projected.data());
    add_projected({}, pass);
  }

  std::size_t write_logits(Pass* pass, std::span<float> logits) const {
    int count = 0;
    for (std::size_t r = 0; r < pass->rows.size(); ++r) {
      if (pass->rows[r].logits == Logits::no) continue;
      kernels_.rms_norm(pass->b.residual.data() + r * hidden(), final_norm_.data(), config_.hidden_size,
                        static_cast<float>(config_.rms_epsilon),
                        pass->operand() + static_cast<std::size_t>(count++) * hidden());
    }
    head_->multiply(pass->operand(), count, logits.data());
    return static_cast<std::size_t>(count) * static_cast<std::size_t>(config_.vocabulary_size);
  }

  TransformerConfig config_;
  std::shared_ptr<const Safetensors> weights_;
  const cpu::Kernels<T>& kernels_;
  cpu::WeightFormat format_;
  const Tensor* embedding_ = nullptr;
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;
  PackedMatrixPtr head_;
  std::vector<double> frequencies_;
  std::uint64_t parameters_ = 0;
  std::uint64_t weight_bytes_ = 0;
};

void check_widths(const TransformerConfig& config) {
  for (const int width : {config.hidden_size, config.intermediate_size})
    if (width % 16 != 0)
      throw ModelError("a layer width of " + std::to_string(width) +
                       " is not supported (it must be a multiple of 16) use another checkpoint");
  if (config.head_dim > cpu::max_head_dim)
    throw ModelError("a head dimension of " + std::to_string(config.head_dim) +
                     " is not supported (it may be at most " + std::to_string(cpu::max_head_dim) +
                     ") use another checkpoint");
}

}  // namespace

std::unique_ptr<Transformer> load_cpu_transformer(const TransformerConfig& config,
                                                  std::shared_ptr<const Safetensors> weights, DType dtype) {
  check_widths(config);
  if (dtype == DType::int8 && !cpu::has_vnni())
    throw ModelError("--dtype int8 is not available (this processor has no VNNI instructions) use bf16 or f32");
  const auto format = dtype == DType::int8 ? cpu::WeightFormat::int8 : cpu::WeightFormat::as_operands;
  if (dtype == DType::bf16 || (dtype != DType::f32 && cpu::has_fast_bf16()))
    return std::make_unique<CpuTransformer<Bf16>>(config, std::move(weights), format);
  return std::make_unique<CpuTransformer<float>>(config, std::move(weights), format);
}

}  // namespace shoal::lm
