#include "lm/cuda/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/assert.hpp"
#include "lm/cuda/block_copies.hpp"
#include "lm/cuda/device_weights.hpp"
#include "lm/cuda/draws.hpp"
#include "lm/cuda/graphs.hpp"
#include "lm/cuda/launches.hpp"
#include "lm/cuda/limits.hpp"
#include "lm/cuda/products.hpp"
#include "lm/cuda/step_inputs.hpp"

namespace shoal::lm::cuda {
namespace {

/// Windows of all rows of a pass together: what is kept of each until they are merged.
constexpr int most_slots = 32768;
/// Left free beside weights, activations and key/value blocks: CUDA's own, lists, masks.
constexpr std::size_t memory_reserve = std::size_t{512} << 20U;

std::size_t product_of(int a, int b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }

/// What queries and keys turn by, in the layers where they do.
Rotary turning(const TransformerConfig& c) {
  return *std::max_element(c.rotaries.begin(), c.rotaries.end(),
                           [](const Rotary& a, const Rotary& b) { return a.dimensions < b.dimensions; });
}

std::vector<int> distinct(std::vector<int> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// In how many parts what goes into the residual is summed until the next norm adds it; in 8 bits it is added at once.
struct ResidualParts {
  ResidualParts(const TransformerConfig& c, WeightFormat format)
      : attention(format == WeightFormat::bf16 ? parts_of(c.hidden_size, c.query_size()) : 0),
        mlp(format == WeightFormat::bf16 ? parts_of(c.hidden_size, c.intermediate_size) : 0) {}

  int attention, mlp;
};

/// Everything that a pass reads and writes besides weights and blocks, for most_rows rows.
struct Activations {
  Activations(const TransformerConfig& c, WeightFormat format)
      : residual(product_of(most_rows, c.hidden_size)),
        operand(product_of(most_rows, widest(c))),
        query_key_value(product_of(most_rows, c.query_size() + 2 * c.kv_size())),
        up(product_of(most_rows, c.up_size())),
        residual_parts(product_of(most_rows, c.hidden_size) * parts_at_once(c, format)),
        cosines(product_of(most_rows, std::max(1, turning(c).dimensions / 2))),
        sines(cosines.size()),
        tops(product_of(most_slots, c.heads)),
        sums(tops.size()),
        outs(product_of(most_slots, c.query_size())),
        logits(product_of(most_rows, c.vocabulary_size)) {
    if (format == WeightFormat::bf16) return;
    operand_int8 = Array<std::int8_t>(operand.size());
    row_scales = Array<float>(most_rows);
    integer_sums = Array<std::int32_t>(
        product_of(most_rows, std::max({c.query_size() + 2 * c.kv_size(), c.up_size(), c.hidden_size})));
  }
  static int widest(const TransformerConfig& c) {
    return std::max({c.hidden_size, c.intermediate_size, c.query_size()});
  }
  /// Of a layer whose attention and MLP are parallel both are waiting.
  static std::size_t parts_at_once(const TransformerConfig& c, WeightFormat format) {
    const ResidualParts parts(c, format);
    const int most =
        c.residual != Residual::serial ? parts.attention + parts.mlp : std::max(parts.attention, parts.mlp);
    return static_cast<std::size_t>(most);
  }
  static std::size_t bytes(const TransformerConfig& c, WeightFormat format) {
    return 4 * product_of(most_rows, c.hidden_size) * parts_at_once(c, format) +
           product_of(most_rows, 4 * c.hidden_size + 3 * widest(c) + 6 * (c.query_size() + 2 * c.kv_size()) +
                                     6 * c.up_size() + 4 * c.vocabulary_size) +
           product_of(most_slots, 4 * (c.query_size() + 2 * c.heads));
  }

  Array<float> residual;
  Array<Bf16> operand, query_key_value, up;
  Array<float> residual_parts;  ///< [parts][most_rows, hidden size]
  Array<float> cosines, sines;
  Array<float> tops, sums, outs;  ///< of windows
  Array<float> logits;
  Array<std::int8_t> operand_int8;
  Array<float> row_scales;
  Array<std::int32_t> integer_sums;
};

/// Makes a GPU the current one for what is made after it.
class Gpu {
 public:
  explicit Gpu(int index) : index_(index) {
    use();
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
    name_ = properties.name;
    multiprocessors_ = properties.multiProcessorCount;
  }
  void use() const { check(cudaSetDevice(index_), "cudaSetDevice"); }
  [[nodiscard]] int index() const { return index_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int multiprocessors() const { return multiprocessors_; }
  [[nodiscard]] std::size_t free_bytes() const { return memory().free; }
  [[nodiscard]] std::size_t total_bytes() const { return memory().total; }

 private:
  struct Memory {
    std::size_t free = 0, total = 0;
  };
  static Memory memory() {
    Memory memory;
    check(cudaMemGetInfo(&memory.free, &memory.total), "cudaMemGetInfo");
    return memory;
  }

  int index_;
  std::string name_;
  int multiprocessors_ = 0;
};

class CudaTransformer final : public Transformer {
 public:
  CudaTransformer(const TransformerConfig& config, std::shared_ptr<const Safetensors> file, WeightFormat format,
                  Device device)
      : config_(config),
        format_(format),
        gpu_(device.gpu),
        ranks_(device.ranks),
        sights_(distinct(config.windows)),
        weights_(upload_weights(config_, *file, format, stream_)),
        parts_(config_, format),
        activations_(config_, format),
        products_(stream_),
        planner_(sights_, config.heads / config.kv_heads),
        inputs_(sights_.size()),
        copies_(stream_),
        graphs_(stream_) {
    if (const Rotary rotary = turning(config); rotary.dimensions > 0) {
      const std::vector<double> frequencies = rotary_frequencies(rotary);
      turned_factor_ = rotary.attention_factor;
      half_ = static_cast<int>(frequencies.size());
      frequencies_ = Array<double>(frequencies.size());
      copy_to_device(std::span<const double>(frequencies), frequencies_.data(), stream_);
      stream_.wait();
    }
    prepare_kernels(config.head_dim, config.vocabulary_size);
    attention_blocks_ = gpu_.multiprocessors() * attention_blocks_at_once(config.head_dim);
    prepare_products();
  }
  /// What an error may have left unfinished still uses what is freed after it.
  ~CudaTransformer() override { cudaStreamSynchronize(stream_.get()); }
  CudaTransformer(const CudaTransformer&) = delete;
  CudaTransformer& operator=(const CudaTransformer&) = delete;

  [[nodiscard]] const TransformerConfig& config() const override { return config_; }
  [[nodiscard]] DType dtype() const override { return format_ == WeightFormat::int8 ? DType::int8 : DType::bf16; }
  [[nodiscard]] std::uint64_t parameters() const override { return weights_.parameters; }
  [[nodiscard]] std::uint64_t weight_bytes() const override { return weights_.bytes; }
  [[nodiscard]] std::string device() const override { return "cuda: " + gpu_.name(); }
  [[nodiscard]] std::size_t block_bytes() const override {
    return sizeof(Bf16) * static_cast<std::size_t>(config_.layers * config_.kv_heads * head_elements(config_.head_dim));
  }
  [[nodiscard]] std::unique_ptr<BlockMemory> block_memory(std::size_t /*most*/) const override {
    return std::make_unique<DeviceBlockMemory>(gpu_.index(), &copies_, &spare_slabs_);
  }
  [[nodiscard]] std::uint64_t free_block_bytes() const override {
    gpu_.use();
    const std::size_t free = gpu_.free_bytes() + spare_slabs_.bytes() * static_cast<std::size_t>(ranks_);
    return (free - std::min(free, memory_reserve)) / static_cast<std::size_t>(ranks_);
  }
  [[nodiscard]] bool prepare_sampling(const Vocabulary& vocabulary) override {
    gpu_.use();
    draws_.emplace(vocabulary, stream_);
    return true;
  }

  void forward(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers* /*buffers*/,
               std::span<float> logits) const override {
    compute(rows, pool, [&](std::size_t count, bool /*last*/) {
      const std::size_t size = count * static_cast<std::size_t>(config_.vocabulary_size);
      copy_to_host(activations_.logits.data(), logits.first(size), stream_);
      logits = logits.subspan(size);
      stream_.wait();
    });
  }

  void start_sampling(std::span<const TokenRow> rows, BlockPool* pool, const Sampling& how,
                      std::span<ContextDraws> draws) const override {
    compute(rows, pool, [&](std::size_t count, bool last) {
      if (count > 0) draws_->start(activations_.logits.data(), how, draws.first(count));
      draws = draws.subspan(count);
      if (!last) finish_sampling();
    });
  }
  void finish_sampling() const override {
    gpu_.use();
    stream_.wait();
    draws_->finish();
  }

 private:
  /// Calls take(n, whether they are the last) when the logits of the next n rows that want them are on their way; it is
  /// to wait for them, but for the last ones.
  template <class Take>
  void compute(std::span<const TokenRow> rows, BlockPool* pool, const Take& take) const {
    gpu_.use();
    stream_.wait();  // for what an error may have left unfinished
    copies_.flush();
    while (!rows.empty()) {
      auto chunk = rows.first(std::min<std::size_t>(rows.size(), most_rows));
      chunk = chunk.first(AttentionPlanner::rows_that_fit(chunk, most_slots));
      rows = rows.subspan(chunk.size());
      take(pass(chunk, pool), rows.empty());
    }
  }

  /// @return rows that want logits
  std::size_t pass(std::span<const TokenRow> rows, BlockPool* pool) const {
    const int padded = padded_batch(static_cast<int>(rows.size()));
    const AttentionPlan plan = planner_.plan(rows, pool->size());
    reserve_slots(plan.slot_count);
    if (inputs_.set(rows, padded, plan, pool, stream_)) graphs_.clear();
    const auto wanted = static_cast<std::size_t>(
        std::count_if(rows.begin(), rows.end(), [](const TokenRow& row) { return row.logits == Logits::yes; }));
    if (wanted == rows.size())
      graphs_.run(padded, [&] { start_pass(padded, padded); });
    else
      start_pass(padded, wanted == 0 ? 0 : padded_batch(static_cast<int>(wanted)));
    return wanted;
  }

  /// One row alone may have more windows than passes usually do.
  void reserve_slots(int slots) const {
    const std::size_t needed = product_of(slots, config_.heads);
    if (needed <= activations_.tops.size()) return;
    activations_.tops = Array<float>(needed);
    activations_.sums = Array<float>(needed);
    activations_.outs = Array<float>(product_of(slots, config_.query_size()));
    graphs_.clear();
  }

  /// Puts a pass into the stream. @param logit_rows padded, or 0
  void start_pass(int rows, int logit_rows) const {
    launch(EmbedTask{inputs_.tokens(), inputs_.positions(), weights_.embedding.data(), weights_.positions.data(),
                     config_.hidden_size, activations_.residual.data(),
                     Bf16::from_float(static_cast<float>(config_.embedding_scale)).to_float()},
           rows, stream_.get());
    if (half_ > 0)
      launch(RotationTask{inputs_.positions(), frequencies_.data(), half_, turned_factor_, activations_.cosines.data(),
                          activations_.sines.data()},
             rows, stream_.get());
    PartialSums sums{};
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) sums = start_layer(i, rows, sums);
    if (logit_rows == 0) return;
    normalize(weights_.final_norm, sums, inputs_.logit_rows(), logit_rows, weights_.head);
    multiply(weights_.head, Output::f32, logit_rows, activations_.logits.data());
  }

  /// @param before not yet in the residual @return what this layer leaves so
  [[nodiscard]] PartialSums start_layer(std::size_t index, int rows, const PartialSums& before) const {
    const DeviceLayer& layer = weights_.layers[index];
    normalize(layer.attention_norm, before, nullptr, rows, layer.query_key_value);
    multiply(layer.query_key_value, Output::bf16, rows, activations_.query_key_value.data());
    if (config_.residual == Residual::parallel_own_norm) normalize(layer.mlp_norm, {}, nullptr, rows, layer.up);
    if (config_.residual != Residual::serial) multiply(layer.up, Output::bf16, rows, activations_.up.data());
    place(index, rows);
    attend(index, rows);
    PartialSums sums{};
    add_to_residual(layer.output, parts_.attention, rows, &sums);
    if (config_.residual == Residual::serial) {
      normalize(layer.mlp_norm, std::exchange(sums, {}), nullptr, rows, layer.up);
      multiply(layer.up, Output::bf16, rows, activations_.up.data());
    }
    launch(ActivationTask{activations_.up.data(), config_.activation, config_.intermediate_size,
                          activations_.operand.data(), quantized_for(layer.down)},
           rows, stream_.get());
    add_to_residual(layer.down, parts_.mlp, rows, &sums);
    return sums;
  }

  /// The product of the operand and a matrix; in bf16 as further parts of @p sums.
  void add_to_residual(const DeviceMatrix& matrix, int parts, int rows, PartialSums* sums) const {
    if (matrix.in_8_bits()) return multiply_int8(matrix, rows, {.add_to = activations_.residual.data()});
    sums->stride = static_cast<std::int64_t>(product_of(most_rows, config_.hidden_size));
    sums->parts = activations_.residual_parts.data();
    products_.multiply(residual_shape(matrix, parts), rows,
                       {matrix.data, activations_.operand.data(), nullptr,
                        activations_.residual_parts.data() + sums->count * sums->stride});
    sums->count += parts;
    sums->bias[sums->bias[0] == nullptr ? 0 : 1] = matrix.bias.data();
  }

  /// What makes the operand of a product in 8 bits is to do at its end.
  [[nodiscard]] QuantizeTask quantized_for(const DeviceMatrix& matrix) const {
    if (!matrix.in_8_bits()) return {};
    return {activations_.operand.data(), matrix.inputs, activations_.operand_int8.data(),
            activations_.row_scales.data()};
  }

  /// @param next the product that the rows are for
  void normalize(const DeviceNorm& norm, const PartialSums& sums, const int* which, int rows,
                 const DeviceMatrix& next) const {
    launch(
        NormTask{activations_.residual.data(), sums, which, norm.weight.data(), norm.bias.data(), config_.hidden_size,
                 static_cast<float>(config_.norm_epsilon), activations_.operand.data(), quantized_for(next)},
        rows, stream_.get());
  }

  [[nodiscard]] std::int64_t layer_offset(std::size_t layer) const {
    return static_cast<std::int64_t>(layer) * config_.kv_heads * head_elements(config_.head_dim);
  }

  void place(std::size_t index, int rows) const {
    const DeviceLayer& layer = weights_.layers[index];
    launch(PlaceTask{.query_key_value = activations_.query_key_value.data(),
                     .positions = inputs_.positions(),
                     .cosines = activations_.cosines.data(),
                     .sines = activations_.sines.data(),
                     .half = config_.rotaries[index].dimensions / 2,
                     .query_norm = layer.query_norm.data(),
                     .key_norm = layer.key_norm.data(),
                     .epsilon = static_cast<float>(config_.norm_epsilon),
                     .heads = config_.heads,
                     .kv_heads = config_.kv_heads,
                     .head_dim = config_.head_dim,
                     .blocks = inputs_.tables(),
                     .table_begin = inputs_.table_begin(),
                     .layer_offset = layer_offset(index)},
           rows, stream_.get());
  }

  void attend(std::size_t index, int rows) const {
    const int sight = config_.windows[index];
    const auto s = static_cast<std::size_t>(std::find(sights_.begin(), sights_.end(), sight) - sights_.begin());
    const float scale = log2_e / config_.attention_divisor;
    launch(AttentionTask{.query_key_value = activations_.query_key_value.data(),
                         .positions = inputs_.positions(),
                         .blocks = inputs_.tables(),
                         .items = inputs_.items(s),
                         .item_count = inputs_.item_count(s),
                         .item_rows = inputs_.item_rows(s),
                         .slots = inputs_.slots(),
                         .layer_offset = layer_offset(index),
                         .heads = config_.heads,
                         .kv_heads = config_.kv_heads,
                         .head_dim = config_.head_dim,
                         .sight = sight,
                         .scale = scale,
                         .tops = activations_.tops.data(),
                         .sums = activations_.sums.data(),
                         .outs = activations_.outs.data()},
           attention_blocks_, stream_.get());
    launch(MergeTask{inputs_.positions(), inputs_.slots(), config_.heads, config_.head_dim, sight, scale,
                     activations_.tops.data(), activations_.sums.data(), activations_.outs.data(),
                     activations_.operand.data(), quantized_for(weights_.layers[index].output)},
           rows, stream_.get());
  }

  /// The product of the operand and a matrix, with its bias. @param y of the type that @p output says
  template <class T>
  void multiply(const DeviceMatrix& matrix, Output output, int rows, T* y) const {
    if constexpr (std::is_same_v<T, Bf16>) {
      if (matrix.in_8_bits()) return multiply_int8(matrix, rows, {.out = y});
    } else {
      if (matrix.in_8_bits()) return multiply_int8(matrix, rows, {.logits = y});
    }
    const void* bias = output == Output::bf16 ? static_cast<const void*>(matrix.bias_bf16.data()) : matrix.bias.data();
    products_.multiply(shape_of(matrix, output), rows, {matrix.data, activations_.operand.data(), bias, y});
  }

  /// Where a product in 8 bits goes: one of these.
  struct Target {
    float* add_to = nullptr;
    Bf16* out = nullptr;
    float* logits = nullptr;
  };
  void multiply_int8(const DeviceMatrix& matrix, int rows, const Target& to) const {
    // Logits are as wide as their sums, and too large to have both.
    std::int32_t* sums =
        to.logits != nullptr ? reinterpret_cast<std::int32_t*>(to.logits) : activations_.integer_sums.data();
    products_.multiply(shape_of(matrix, Output::sums_of_8_bits), rows,
                       {matrix.data, activations_.operand_int8.data(), nullptr, sums});
    launch(ScaleTask{.sums = sums,
                     .row_scales = activations_.row_scales.data(),
                     .column_scales = matrix.scales.data(),
                     .bias = matrix.bias.data(),
                     .n = matrix.outputs,
                     .add_to = to.add_to,
                     .out = to.out,
                     .logits = to.logits},
           rows, stream_.get());
  }

  [[nodiscard]] static ProductShape shape_of(const DeviceMatrix& matrix, Output output) {
    if (matrix.in_8_bits()) return {matrix.outputs, matrix.inputs, Output::sums_of_8_bits, false};
    return {matrix.outputs, matrix.inputs, output, matrix.bias.size() > 0};
  }
  /// The norm adds the bias.
  [[nodiscard]] static ProductShape residual_shape(const DeviceMatrix& matrix, int parts) {
    if (matrix.in_8_bits()) return shape_of(matrix, Output::sums_of_8_bits);
    return {matrix.outputs, matrix.inputs, Output::f32, false, parts};
  }

  void prepare_products() {
    const DeviceLayer& layer = weights_.layers.front();
    products_.prepare(shape_of(layer.query_key_value, Output::bf16), layer.query_key_value.data);
    products_.prepare(residual_shape(layer.output, parts_.attention), layer.output.data);
    products_.prepare(shape_of(layer.up, Output::bf16), layer.up.data);
    products_.prepare(residual_shape(layer.down, parts_.mlp), layer.down.data);
    products_.prepare(shape_of(weights_.head, Output::f32), weights_.head.data);
  }

  TransformerConfig config_;
  WeightFormat format_;
  Gpu gpu_;    ///< before all that lies on it
  int ranks_;  ///< that compute on this GPU
  Stream stream_;
  std::vector<int> sights_;
  DeviceWeights weights_;
  Array<double> frequencies_;
  int half_ = 0;  ///< pairs that turn
  double turned_factor_ = 1.0;
  int attention_blocks_ = 0;  ///< of threads, among which attention is dealt out
  ResidualParts parts_;
  mutable Activations activations_;
  Products products_;
  mutable AttentionPlanner planner_;
  mutable StepInputs inputs_;
  mutable BlockCopies copies_;
  mutable SpareSlabs spare_slabs_;
  mutable Graphs graphs_;
  mutable std::optional<Draws> draws_;
};

std::size_t weight_bytes(const TransformerConfig& c, WeightFormat format) {
  const std::size_t layer = product_of(c.hidden_size, c.query_size() + 2 * c.kv_size()) +
                            product_of(c.query_size(), c.hidden_size) + product_of(c.hidden_size, c.up_size()) +
                            product_of(c.intermediate_size, c.hidden_size);
  const std::size_t table = product_of(c.vocabulary_size, c.hidden_size);
  const std::size_t products = static_cast<std::size_t>(c.layers) * layer + (c.tied_head ? 0 : table);
  if (format == WeightFormat::int8) return products + 2 * table + (c.tied_head ? table : 0);
  return 2 * (products + table);
}

/// @param ranks that share the GPU; others may have loaded their weights already, or not yet
void check_memory(const TransformerConfig& config, WeightFormat format, const Gpu& gpu, int ranks) {
  const std::size_t needed = weight_bytes(config, format) + Activations::bytes(config, format) + memory_reserve;
  const std::size_t free = std::min(gpu.free_bytes(), gpu.total_bytes() / static_cast<std::size_t>(ranks));
  if (needed <= free) return;
  throw ModelError("not enough memory on the GPU " + gpu.name() + " (the weights and a batch take " +
                   mebibytes(needed) + ", " + mebibytes(free) + " are free for it) use " +
                   (format == WeightFormat::bf16 ? "--dtype int8, " : "") +
                   "a smaller model, fewer ranks a GPU, or --device cpu");
}

}  // namespace

std::string problem_of(int gpu) {
  const auto name = [](int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  };
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0 && driver / 1000 < CUDART_VERSION / 1000)
    return "the NVIDIA driver is too old: it is for CUDA " + name(driver) + ", this build needs " +
           std::to_string(CUDART_VERSION / 1000) + ".0";
  std::size_t free = 0, total = 0;
  cudaError_t code = cudaSetDevice(gpu);
  if (code == cudaSuccess) code = cudaMemGetInfo(&free, &total);
  return code == cudaSuccess ? "" : std::string("CUDA does not start: ") + cudaGetErrorString(code);
}

std::unique_ptr<Transformer> load_transformer(const TransformerConfig& config,
                                              std::shared_ptr<const Safetensors> weights, const LoadOptions& options) {
  if (options.dtype == DType::f32)
    throw ModelError("--dtype f32 is not available on a GPU (GPUs compute in bf16 or int8) use another");
  if (options.kv_dtype == KvDType::int8)
    throw ModelError("--kv-dtype int8 is not available on a GPU (GPUs keep keys and values in bf16) use auto");
  if (const std::string part = beyond_gpus(config); !part.empty())
    throw ModelError("no GPU computes " + config.architecture + " here (it has " + part + ") use --device cpu");
  const auto format = options.dtype == DType::int8 ? WeightFormat::int8 : WeightFormat::bf16;
  check_memory(config, format, Gpu(options.device.gpu), options.device.ranks);
  return std::make_unique<CudaTransformer>(config, std::move(weights), format, options.device);
}

}  // namespace shoal::lm::cuda
