#include "lm/cuda/device_weights.hpp"

#include <algorithm>
#include <string>

#include "base/parallel.hpp"
#include "lm/cuda/launches.hpp"
#include "lm/tensor_names.hpp"

namespace shoal::lm::cuda {
namespace {

/// Elements converted and copied at a time.
constexpr std::size_t staging_elements = std::size_t{8} << 20U;

class Uploader {
 public:
  Uploader(const TransformerConfig& config, const Safetensors& file, WeightFormat format, const Stream& stream)
      : c_(config),
        file_(file),
        format_(format),
        stream_(stream),
        names_(tensor_names(config.architecture)),
        prefix_(prefix_in(file, names_)),
        staging_(staging_elements) {}

  DeviceWeights upload() {
    DeviceWeights w;
    w.embedding = table(prefix_ + names_.embedding, c_.vocabulary_size);
    if (c_.positions == Positions::learned) w.positions = table(prefix_ + names_.positions, c_.max_position);
    for (int i = 0; i < c_.layers; ++i) w.layers.push_back(layer(prefix_ + names_.layer + std::to_string(i) + "."));
    w.final_norm = norm(prefix_ + names_.final_norm);
    w.head = head(w.embedding);
    w.parameters = parameters_;
    w.bytes = bytes_;
    stream_.wait();
    return w;
  }

 private:
  DeviceLayer layer(const std::string& at) {
    DeviceLayer l;
    l.attention_norm = norm(at + names_.attention_norm);
    if (c_.mlp_norm_before()) l.mlp_norm = norm(at + names_.mlp_norm);
    if (c_.head_norms != HeadNorms::none) {
      l.query_norm = norm_weights(at + names_.query_norm, c_.query_norm_size());
      l.key_norm = norm_weights(at + names_.key_norm, c_.key_norm_size());
    }
    l.query_key_value = matrix(attention_parts(names_, c_, at), c_.hidden_size, c_.qkv_bias);
    l.output = matrix({{at + names_.output, c_.hidden_size}}, c_.query_size(), c_.output_bias);
    l.up = matrix(up_parts(names_, c_, at), c_.hidden_size, c_.mlp_bias);
    l.down = matrix({{at + names_.down, c_.hidden_size}}, c_.intermediate_size, c_.mlp_bias);
    return l;
  }
  const Tensor& tensor(const std::string& name, std::vector<std::int64_t> shape) {
    const Tensor& found = file_.get(name, shape);
    parameters_ += found.elements();
    return found;
  }
  template <class T>
  Array<T> array(std::size_t size) {
    bytes_ += size * sizeof(T);
    return Array<T>(size);
  }
  Array<Bf16> table(const std::string& name, int rows) {
    const Tensor& from = tensor(name + ".weight", {rows, c_.hidden_size});
    auto to = array<Bf16>(from.elements());
    copy(from, to.data());
    return to;
  }
  Array<float> to_array(const std::vector<float>& values) {
    auto to = array<float>(values.size());
    copy_to_device(std::span(values), to.data(), stream_);
    stream_.wait();
    return to;
  }
  Array<float> vector(const std::string& name, std::int64_t size) { return to_array(tensor(name, {size}).read_all()); }
  Array<float> norm_weights(const std::string& name, std::int64_t size) {
    std::vector<float> weights = tensor(name + ".weight", {size}).read_all();
    for (float& weight : weights) weight += c_.norm_offset;
    return to_array(weights);
  }
  DeviceNorm norm(const std::string& name) {
    DeviceNorm norm{norm_weights(name, c_.hidden_size), {}};
    if (c_.norm == Norm::layer) norm.bias = vector(name + ".bias", c_.hidden_size);
    return norm;
  }

  DeviceMatrix matrix(const std::vector<MatrixPart>& parts, int inputs, Bias bias) {
    DeviceMatrix m;
    m.inputs = inputs;
    for (const MatrixPart& part : parts) m.outputs += part.outputs;
    Array<Bf16> rows(static_cast<std::size_t>(m.outputs) * static_cast<std::size_t>(inputs));
    Bf16* at = rows.data();
    for (const MatrixPart& part : parts) {
      if (part.head_dim > 0)
        copy_head_by_head(part, tensor(part.name + ".weight", {part.outputs, inputs}), at);
      else if (names_.layout == MatrixLayout::outputs_inputs)
        copy(tensor(part.name + ".weight", {part.outputs, inputs}), at);
      else
        copy_transposed(tensor(part.name + ".weight", {inputs, part.outputs}), at);
      at += static_cast<std::size_t>(part.outputs) * static_cast<std::size_t>(inputs);
    }
    finish(std::move(rows), &m);
    if (bias == Bias::yes) add_bias(parts, &m);
    return m;
  }
  /// cuBLASLt's products in 8 bits have multiples of 4 outputs.
  [[nodiscard]] bool can_be_int8(const DeviceMatrix& m) const {
    return format_ == WeightFormat::int8 && m.outputs % 4 == 0;
  }
  void finish(Array<Bf16> rows, DeviceMatrix* m) {
    if (!can_be_int8(*m)) {
      bytes_ += rows.bytes();
      m->bf16 = std::move(rows);
      m->data = m->bf16.data();
    } else {
      quantize(rows.data(), m);
    }
  }
  void quantize(const Bf16* rows, DeviceMatrix* m) {
    m->int8 = array<std::int8_t>(static_cast<std::size_t>(m->outputs) * static_cast<std::size_t>(m->inputs));
    m->scales = array<float>(static_cast<std::size_t>(m->outputs));
    m->data = m->int8.data();
    launch(QuantizeTask{rows, m->inputs, m->int8.data(), m->scales.data()}, m->outputs, stream_.get());
    stream_.wait();
  }
  void add_bias(const std::vector<MatrixPart>& parts, DeviceMatrix* m) {
    std::vector<float> all;
    for (const MatrixPart& part : parts) {
      const std::vector<float> one = tensor(part.name + ".bias", {part.outputs}).read_all();
      for (std::size_t row = 0; row < one.size(); ++row) all.push_back(one[part.stored_row(row)]);
    }
    set_bias(all, m);
  }
  void set_bias(const std::vector<float>& bias, DeviceMatrix* m) {
    m->bias = to_array(bias);
    std::vector<Bf16> rounded;
    for (const float x : bias) rounded.push_back(Bf16::from_float(x));
    m->bias_bf16 = array<Bf16>(rounded.size());
    copy_to_device(std::span<const Bf16>(rounded), m->bias_bf16.data(), stream_);
    stream_.wait();
  }
  DeviceMatrix head(const Array<Bf16>& embedding) {
    DeviceMatrix m;
    m.outputs = c_.vocabulary_size;
    m.inputs = c_.hidden_size;
    if (!c_.tied_head) {
      const Tensor& from = tensor(names_.head + ".weight", {m.outputs, m.inputs});
      Array<Bf16> rows(from.elements());
      copy(from, rows.data());
      finish(std::move(rows), &m);
    } else if (!can_be_int8(m)) {
      m.data = embedding.data();
    } else {
      stream_.wait();
      quantize(embedding.data(), &m);
    }
    if (c_.head_bias == Bias::yes) set_bias(tensor(names_.head + ".bias", {m.outputs}).read_all(), &m);
    return m;
  }

  /// Through pinned memory, rounded to bf16 where the file has another type.
  void copy(const Tensor& from, Bf16* to) {
    for (std::size_t begin = 0; begin < from.elements(); begin += staging_elements) {
      const std::size_t count = std::min(staging_elements, from.elements() - begin);
      fill(count, [&](std::size_t first, std::size_t n, Bf16* out) {
        if (from.type == StorageType::bf16) {
          const auto bytes = from.bytes.subspan((begin + first) * sizeof(Bf16), n * sizeof(Bf16));
          std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(out));
          return;
        }
        std::vector<float> floats(n);
        from.read(begin + first, floats);
        std::transform(floats.begin(), floats.end(), out, Bf16::from_float);
      });
      copy_to_device(std::span<const Bf16>(staging_.data(), count), to + begin, stream_);
      stream_.wait();
    }
  }
  void copy_head_by_head(const MatrixPart& part, const Tensor& from, Bf16* to) {
    const std::vector<float> stored = from.read_all();
    const auto outputs = static_cast<std::size_t>(part.outputs), inputs = stored.size() / outputs;
    std::vector<Bf16> rows(stored.size());
    parallel_for(outputs, [&](std::size_t row) {
      const float* source = stored.data() + part.stored_row(row) * inputs;
      std::transform(source, source + inputs, rows.data() + row * inputs, Bf16::from_float);
    });
    copy_to_device(std::span<const Bf16>(rows), to, stream_);
    stream_.wait();
  }
  /// Stored [inputs, outputs].
  void copy_transposed(const Tensor& from, Bf16* to) {
    const std::vector<float> stored = from.read_all();
    const auto inputs = static_cast<std::size_t>(from.shape[0]), outputs = static_cast<std::size_t>(from.shape[1]);
    std::vector<Bf16> rows(stored.size());
    parallel_for(outputs, [&](std::size_t o) {
      for (std::size_t i = 0; i < inputs; ++i) rows[o * inputs + i] = Bf16::from_float(stored[i * outputs + o]);
    });
    copy_to_device(std::span<const Bf16>(rows), to, stream_);
    stream_.wait();
  }
  template <class FillPart>
  void fill(std::size_t count, const FillPart& fill_part) {
    constexpr std::size_t part = std::size_t{1} << 18U;
    parallel_for((count + part - 1) / part, [&](std::size_t i) {
      fill_part(i * part, std::min(part, count - i * part), staging_.data() + i * part);
    });
  }

  const TransformerConfig& c_;
  const Safetensors& file_;
  WeightFormat format_;
  const Stream& stream_;
  const TensorNames& names_;
  std::string prefix_;
  Array<Bf16, Place::pinned> staging_;
  std::uint64_t parameters_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace

DeviceWeights upload_weights(const TransformerConfig& config, const Safetensors& file, WeightFormat format,
                             const Stream& stream) {
  return Uploader(config, file, format, stream).upload();
}

}  // namespace shoal::lm::cuda
