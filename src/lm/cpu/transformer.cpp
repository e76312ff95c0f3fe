#include "lm/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/isa.hpp"
#include "base/parallel.hpp"
#include "base/stopwatch.hpp"
#include "lm/available_memory.hpp"
#include "lm/cpu/attention_plan.hpp"
#include "lm/cpu/int8_matrix.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/transformer_weights.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

using cpu::block_positions;
using cpu::Layer;

/// Rows computed together: enough to reach the processor's rate, few enough that activations stay in its caches.
constexpr std::size_t chunk_rows = 256;

/// T: type of the products' operands.
template <class T>
class CpuTransformer final : public Transformer {
 public:
  CpuTransformer(const TransformerConfig& config, std::shared_ptr<const Safetensors> weights, cpu::WeightFormat format,
                 cpu::KvFormat kv_format, const NodeShare& node)
      : config_(config),
        file_(std::move(weights)),
        kernels_(cpu::kernels<T>()),
        attention_(cpu::attention_kernels<T>(kv_format)),
        layout_(cpu::head_layout(kv_format, cpu::operand_type<T>, config.head_dim)),
        format_(format),
        processes_(node.processes),
        weights_(
            cpu::read_weights(config_, *file_, cpu::MatrixPacker(cpu::operand_type<T>, format, WeightMemory(node)))) {
    for (const Rotary& rotary : config.rotaries) layer_turns_.push_back(find_turns(rotary));
  }

  [[nodiscard]] const TransformerConfig& config() const override { return config_; }
  [[nodiscard]] DType dtype() const override {
    if (format_ == cpu::WeightFormat::int8) return DType::int8;
    return cpu::operand_type<T> == cpu::OperandType::bf16 ? DType::bf16 : DType::f32;
  }
  [[nodiscard]] std::uint64_t parameters() const override { return weights_.parameters; }
  [[nodiscard]] std::uint64_t weight_bytes() const override { return weights_.bytes; }
  [[nodiscard]] std::string device() const override { return "cpu"; }
  [[nodiscard]] std::size_t block_bytes() const override {
    return static_cast<std::size_t>(config_.layers) * static_cast<std::size_t>(config_.kv_heads) * layout_.bytes();
  }
  [[nodiscard]] std::unique_ptr<BlockMemory> block_memory(std::size_t most) const override {
    return std::make_unique<HostBlockMemory>(most, &spare_);
  }
  /// The node's processes open their trees at the same time, each for its share of what is free.
  [[nodiscard]] std::uint64_t free_block_bytes() const override {
    return available_memory() / static_cast<std::uint64_t>(processes_) + spare_.resident;
  }

  void forward(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers* buffers,
               std::span<float> logits) const override {
    const ScopedTimer timer(&buffers->seconds.total);
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
    std::vector<std::size_t> table_begin;                   ///< by row, its first entry of buffers.blocks
    std::vector<std::pair<int, cpu::AttentionPlan>> plans;  ///< by window
    BlockPool* pool;
    ForwardBuffers& b;
    /// Of the layers' products; what lies in those beyond rows.size() does not matter.
    int product_rows;
    [[nodiscard]] T* operand() const { return reinterpret_cast<T*>(b.operand.data()); }
  };

  /// Of one key/value head's part of a block, in bytes.
  [[nodiscard]] std::size_t head_offset(std::size_t layer, int kv_head) const {
    return (layer * static_cast<std::size_t>(config_.kv_heads) + static_cast<std::size_t>(kv_head)) * layout_.bytes();
  }
  [[nodiscard]] std::size_t hidden() const { return static_cast<std::size_t>(config_.hidden_size); }
  [[nodiscard]] std::size_t qkv_size() const {
    return static_cast<std::size_t>(config_.query_size() + 2 * config_.kv_size());
  }

  /// What layers with equal rotary positions turn by: one after the other in a row of cosines.
  struct Turns {
    Rotary rotary;
    std::vector<double> frequencies;
    std::size_t begin;
  };

  std::size_t find_turns(const Rotary& rotary) {
    const auto found = std::find_if(turns_.begin(), turns_.end(), [&](const Turns& t) { return t.rotary == rotary; });
    if (found != turns_.end()) return static_cast<std::size_t>(found - turns_.begin());
    turns_.push_back({rotary, rotary_frequencies(rotary), all_turns_});
    all_turns_ += turns_.back().frequencies.size();
    return turns_.size() - 1;
  }

  std::size_t forward_chunk(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers* buffers,
                            std::span<float> logits) const {
    Pass pass{rows, {},       {},
              pool, *buffers, cpu::padded_rows(static_cast<int>(rows.size()), cpu::operand_type<T>, format_)};
    resize(&pass);
    find_blocks(&pass);
    fill_rotations(&pass);
    parallel_for_short(rows.size(), [&](std::size_t r) {
      embed(r, &pass);
      normalize(weights_.layers.front().attention_norm, r, &pass);
    });
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) pass_layer(i, &pass);
    return write_logits(&pass, logits);
  }

  void resize(Pass* pass) const {
    const auto m = static_cast<std::size_t>(pass->product_rows);
    const auto grow = [](auto* buffer, std::size_t size) {
      if (buffer->size() < size) buffer->resize(size);
    };
    grow(&pass->b.residual, m * hidden());
    grow(&pass->b.projected, m * hidden());
    grow(&pass->b.query_key_value, m * qkv_size());
    grow(&pass->b.up, m * static_cast<std::size_t>(config_.up_size()));
    const int widest = std::max({config_.hidden_size, config_.intermediate_size, config_.query_size()});
    grow(&pass->b.operand, m * static_cast<std::size_t>(widest) * sizeof(T));
    grow(&pass->b.cosines, m * all_turns_);
    grow(&pass->b.sines, m * all_turns_);
  }

  void embed(std::size_t r, Pass* pass) const {
    const TokenRow& row = pass->rows[r];
    float* x = pass->b.residual.data() + r * hidden();
    weights_.embedding->read(static_cast<std::size_t>(row.token.value()) * hidden(), std::span(x, hidden()));
    scale(embedding_scale(), std::span(x, hidden()));
    if (config_.positions == Positions::rotary) return;
    SHOAL_EXPECT(row.position < config_.max_position);
    std::vector<float> position(hidden());
    weights_.positions->read(static_cast<std::size_t>(row.position) * hidden(), position);
    add(position, x);
  }

  static void find_blocks(Pass* pass) {
    pass->b.blocks.clear();
    for (const TokenRow& row : pass->rows) {
      pass->table_begin.push_back(pass->b.blocks.size());
      for (int i = 0; i <= row.position / block_positions; ++i)
        pass->b.blocks.push_back(pass->pool->data(row.table[static_cast<std::size_t>(i)]));
    }
  }

  /// In the operands' type, as Hugging Face's Gemma has it. (Granite's multipliers are exact in both.)
  [[nodiscard]] float embedding_scale() const {
    const auto exact = static_cast<float>(config_.embedding_scale);
    return cpu::operand_type<T> == cpu::OperandType::bf16 ? Bf16::from_float(exact).to_float() : exact;
  }

  static void scale(float by, std::span<float> row) {
    if (by == 1.0F) return;
    for (float& x : row) x *= by;
  }

  void fill_rotations(Pass* pass) const {
    for (std::size_t r = 0; r < pass->rows.size(); ++r) {
      float* cosines = pass->b.cosines.data() + r * all_turns_;
      float* sines = pass->b.sines.data() + r * all_turns_;
      if (r > 0 && pass->rows[r].position == pass->rows[r - 1].position) {
        std::copy_n(cosines - all_turns_, all_turns_, cosines);
        std::copy_n(sines - all_turns_, all_turns_, sines);
        continue;
      }
      for (const Turns& turns : turns_)
        for (const double frequency : turns.frequencies) {
          const double angle = pass->rows[r].position * frequency;
          *cosines++ = static_cast<float>(turns.rotary.attention_factor * std::cos(angle));
          *sines++ = static_cast<float>(turns.rotary.attention_factor * std::sin(angle));
        }
    }
  }

  void normalize_row(const cpu::NormWeights& norm, const float* x, T* out) const {
    const auto epsilon = static_cast<float>(config_.norm_epsilon);
    if (norm.weight.empty())
      kernels_.copy(x, config_.hidden_size, out);
    else if (config_.norm == Norm::rms)
      kernels_.rms_norm(x, norm.weight.data(), config_.hidden_size, epsilon, out);
    else
      kernels_.layer_norm(x, {norm.weight.data(), norm.bias.data(), epsilon}, config_.hidden_size, out);
  }

  void normalize(const cpu::NormWeights& norm, std::size_t r, Pass* pass) const {
    normalize_row(norm, pass->b.residual.data() + r * hidden(), pass->operand() + r * hidden());
  }

  void multiply(const cpu::Linear& linear, Pass* pass, float* y) const {
    const ScopedTimer timer(&pass->b.seconds.products);
    linear.matrix->multiply(pass->operand(), pass->product_rows, y);
  }

  void normalize_all(const cpu::NormWeights& norm, Pass* pass) const {
    parallel_for_short(pass->rows.size(), [&](std::size_t r) { normalize(norm, r, pass); });
  }

  /// @param y one row of a product @param after of what is added, if it has weights
  void add_to_residual(std::span<const float> bias, const cpu::NormWeights& after, float* y, float* x) const {
    if (after.weight.empty() && config_.residual_scale == 1.0) {
      kernels_.add(y, config_.hidden_size, x);
      return add(bias, x);
    }
    add(bias, y);
    if (!after.weight.empty())
      kernels_.rms_norm_in_place(y, after.weight.data(), config_.hidden_size, static_cast<float>(config_.norm_epsilon));
    scale(static_cast<float>(config_.residual_scale), std::span(y, hidden()));
    kernels_.add(y, config_.hidden_size, x);
  }

  /// Adds a product's outputs to the residual stream; what is normalized next is the next product's operand.
  void add_product(const cpu::Linear& linear, const cpu::NormWeights& after, const cpu::NormWeights* next,
                   Pass* pass) const {
    multiply(linear, pass, pass->b.projected.data());
    parallel_for_short(pass->rows.size(), [&](std::size_t r) {
      add_to_residual(linear.bias, after, pass->b.projected.data() + r * hidden(),
                      pass->b.residual.data() + r * hidden());
      if (next != nullptr) normalize(*next, r, pass);
    });
  }

  /// Begins with the normalized rows as operands, and ends with those of the next layer.
  void pass_layer(std::size_t index, Pass* pass) const {
    const Layer& layer = weights_.layers[index];
    const bool serial = config_.residual == Residual::serial, last = index + 1 == weights_.layers.size();
    multiply(layer.query_key_value, pass, pass->b.query_key_value.data());
    if (config_.residual == Residual::parallel_own_norm) normalize_all(layer.mlp_norm, pass);
    if (!serial) multiply(layer.up, pass, pass->b.up.data());
    parallel_for_short(pass->rows.size(), [&](std::size_t r) { place_token(index, r, pass); });
    attend_all(index, pass);
    add_product(layer.output, layer.after_attention_norm, serial ? &layer.mlp_norm : nullptr, pass);
    if (serial) multiply(layer.up, pass, pass->b.up.data());
    parallel_for_short(pass->rows.size(), [&](std::size_t r) { activate(layer, r, pass); });
    add_product(layer.down, layer.after_mlp_norm, last ? nullptr : &weights_.layers[index + 1].attention_norm, pass);
  }

  void activate(const Layer& layer, std::size_t r, Pass* pass) const {
    float* up = pass->b.up.data() + r * static_cast<std::size_t>(config_.up_size());
    T* out = pass->operand() + r * static_cast<std::size_t>(config_.intermediate_size);
    add(layer.up.bias, up);
    const int n = config_.intermediate_size;
    switch (config_.activation) {
      case Activation::gated_silu:
        return kernels_.swiglu(up, up + n, n, out);
      case Activation::gated_gelu_tanh:
        return kernels_.geglu_tanh(up, up + n, n, out);
      case Activation::gelu:
        return kernels_.gelu(up, n, out);
      case Activation::gelu_tanh:
        return kernels_.gelu_tanh(up, n, out);
    }
  }

  /// Adds biases, normalizes and rotates queries and keys, writes key and value to the block.
  void place_token(std::size_t index, std::size_t r, Pass* pass) const {
    const Layer& layer = weights_.layers[index];
    float* query = pass->b.query_key_value.data() + r * qkv_size();
    add(layer.query_key_value.bias, query);
    float* key = query + config_.query_size();
    normalize_heads(layer.query_norm, config_.query_size(), query);
    normalize_heads(layer.key_norm, config_.kv_size(), key);
    const Turns& turns = turns_[layer_turns_[index]];
    const std::size_t at = r * all_turns_ + turns.begin;
    for (int h = 0; h < config_.heads + config_.kv_heads; ++h)
      kernels_.rotate(query + h * config_.head_dim, pass->b.cosines.data() + at, pass->b.sines.data() + at,
                      static_cast<int>(turns.frequencies.size()));
    for (int h = 0; h < config_.kv_heads; ++h)
      write_key_value(index, h, r, key + h * config_.head_dim, key + config_.kv_size() + h * config_.head_dim, pass);
  }

  /// Of @p size numbers as many at once as the norm has weights; none if it has none.
  void normalize_heads(const std::vector<float>& norm, int size, float* x) const {
    const int together = static_cast<int>(norm.size());
    for (int i = 0; together > 0 && i < size; i += together)
      kernels_.rms_norm_in_place(x + i, norm.data(), together, static_cast<float>(config_.norm_epsilon));
  }

  void add(std::span<const float> bias, float* to) const {
    kernels_.add(bias.data(), static_cast<int>(bias.size()), to);
  }

  void write_key_value(std::size_t layer, int kv_head, std::size_t r, const float* key, const float* value,
                       Pass* pass) const {
    const TokenRow& row = pass->rows[r];
    const int slot = row.position % block_positions;
    const BlockId block = row.table[static_cast<std::size_t>(row.position / block_positions)];
    std::byte* const head = pass->pool->data(block) + head_offset(layer, kv_head);
    attention_.store_key(key, config_.head_dim, slot, head);
    attention_.store_value(value, config_.head_dim, slot, head);
  }

  /// Queries of one key/value head: a row's heads that share it, one row after the other.
  [[nodiscard]] std::size_t heads_together() const {
    return static_cast<std::size_t>(config_.heads) / static_cast<std::size_t>(config_.kv_heads);
  }

  /// Layers with equal windows have the same plan.
  const cpu::AttentionPlan& plan_attention(int window, Pass* pass) const {
    for (const auto& [known, plan] : pass->plans)
      if (known == window) return plan;
    std::vector<cpu::AttentionQuery> queries;
    for (std::size_t r = 0; r < pass->rows.size(); ++r) {
      const int positions = pass->rows[r].position + 1;
      queries.insert(queries.end(), heads_together(),
                     {pass->b.blocks.data() + pass->table_begin[r], std::max(0, positions - window), positions});
    }
    return pass->plans.emplace_back(window, cpu::AttentionPlan(queries, cpu::attention_queries, layout_)).second;
  }

  /// One head after the other: the blocks that rows share are read from the nearest cache, by all rows but the first.
  void attend_all(std::size_t index, Pass* pass) const {
    const ScopedTimer timer(&pass->b.seconds.attention);
    const cpu::AttentionPlan& plan = plan_attention(config_.windows[index], pass);
    const std::size_t groups = plan.groups().size(), tasks = static_cast<std::size_t>(config_.kv_heads) * groups;
    parallel_for_short(tasks, [&](std::size_t i) {
      const auto task = attention_task(index, i / groups, i % groups, plan, *pass);
      if (i + 1 == tasks) return attention_.attend(task, nullptr);
      const auto next = attention_task(index, (i + 1) / groups, (i + 1) % groups, plan, *pass);
      attention_.attend(task, &next);
    });
  }

  [[nodiscard]] cpu::AttentionTask<T> attention_task(std::size_t layer, std::size_t kv_head, std::size_t group,
                                                     const cpu::AttentionPlan& plan, const Pass& pass) const {
    cpu::AttentionTask<T> task{.group = &plan.groups()[group],
                               .queries = {},
                               .out = {},
                               .offset = head_offset(layer, static_cast<int>(kv_head)),
                               .head_dim = config_.head_dim,
                               .scale = 1.0F / config_.attention_divisor,
                               .cap = static_cast<float>(config_.attention_cap)};
    const std::size_t together = heads_together();
    for (int q = 0; q < task.group->count; ++q) {
      const std::size_t query = plan.first_query(group) + static_cast<std::size_t>(q), row = query / together;
      const std::size_t at = (kv_head * together + query % together) * static_cast<std::size_t>(config_.head_dim);
      task.queries[q] = pass.b.query_key_value.data() + row * qkv_size() + at;
      task.out[q] = pass.operand() + row * static_cast<std::size_t>(config_.query_size()) + at;
    }
    return task;
  }

  std::size_t write_logits(Pass* pass, std::span<float> logits) const {
    const ScopedTimer timer(&pass->b.seconds.head);
    std::vector<std::size_t> wanted;
    for (std::size_t r = 0; r < pass->rows.size(); ++r)
      if (pass->rows[r].logits == Logits::yes) wanted.push_back(r);
    parallel_for_short(wanted.size(), [&](std::size_t i) {
      normalize_row(weights_.final_norm, pass->b.residual.data() + wanted[i] * hidden(),
                    pass->operand() + i * hidden());
    });
    const int count = static_cast<int>(wanted.size());
    weights_.head.matrix->multiply(pass->operand(), count, logits.data());
    const auto width = static_cast<std::size_t>(config_.vocabulary_size);
    if (!weights_.head.bias.empty() || config_.logit_scale != 1.0 || config_.logit_cap > 0.0)
      parallel_for(static_cast<std::size_t>(count),
                   [&](std::size_t i) { finish_logits(logits.subspan(i * width, width)); });
    return static_cast<std::size_t>(count) * width;
  }

  void finish_logits(std::span<float> row) const {
    add(weights_.head.bias, row.data());
    scale(static_cast<float>(config_.logit_scale), row);
    if (config_.logit_cap > 0.0)
      kernels_.soft_cap(row.data(), config_.vocabulary_size, static_cast<float>(config_.logit_cap));
  }

  TransformerConfig config_;
  std::shared_ptr<const Safetensors> file_;
  const cpu::Kernels<T>& kernels_;
  const cpu::AttentionKernels<T>& attention_;
  cpu::HeadLayout layout_;
  cpu::WeightFormat format_;
  int processes_;  ///< of the node
  cpu::TransformerWeights weights_;
  std::vector<Turns> turns_;
  std::vector<std::size_t> layer_turns_;  ///< by layer, which of turns_
  std::size_t all_turns_ = 0;             ///< frequencies of all
  mutable SpareMemory spare_;
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
                                                  std::shared_ptr<const Safetensors> weights,
                                                  const LoadOptions& options) {
  check_widths(config);
  const DType dtype = options.dtype;
  if (dtype == DType::int8 && !cpu::computes_int8())
    throw ModelError("--dtype int8 is not available (the instruction set in use, " + name_of(used_isa()) +
                     ", has no products of 8 bits) use bf16 or f32");
  if (options.kv_dtype == KvDType::int8 && !cpu::has_vnni())
    throw ModelError("--kv-dtype int8 is not available (the instruction set in use, " + name_of(used_isa()) +
                     ", has no VNNI instructions) use auto");
  const auto format = dtype == DType::int8 ? cpu::WeightFormat::int8 : cpu::WeightFormat::as_operands;
  const auto kv_format = cpu::format_of(options.kv_dtype);
  if (cpu::operands_of(dtype) == cpu::OperandType::bf16)
    return std::make_unique<CpuTransformer<Bf16>>(config, std::move(weights), format, kv_format, options.node);
  return std::make_unique<CpuTransformer<float>>(config, std::move(weights), format, kv_format, options.node);
}

}  // namespace shoal::lm
