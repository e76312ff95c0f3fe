#include "lm/cpu/weight_reader.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

namespace shoal::lm::cpu {
namespace {

/// A header may end anywhere.
bool is_aligned(const std::byte* data) { return reinterpret_cast<std::uintptr_t>(data) % sizeof(float) == 0; }

/// A part of a product's rows and the tensor that holds them.
struct StoredPart {
  MatrixPart part;
  const Tensor* tensor;
};

/// Tensors with equal inputs, one below the other, in a type that the packer reads: in @p copy if that is needed.
MatrixView stack(const std::vector<StoredPart>& parts, AlignedVector<std::byte>* copy) {
  const Tensor& first = *parts.front().tensor;
  const bool direct = std::all_of(parts.begin(), parts.end(), [&](const StoredPart& p) {
    return p.tensor->type == first.type && first.type != StorageType::f16;
  });
  const auto inputs = static_cast<std::size_t>(first.shape[1]);
  MatrixView view{.outputs = 0,
                  .inputs = static_cast<int>(inputs),
                  .type = direct && first.type == StorageType::bf16 ? OperandType::bf16 : OperandType::f32,
                  .data = first.bytes.data()};
  std::size_t elements = 0;
  for (const StoredPart& one : parts) {
    view.outputs += one.part.outputs;
    elements += one.tensor->elements();
  }
  if (direct && parts.size() == 1 && parts.front().part.head_dim == 0 && is_aligned(first.bytes.data())) return view;
  const std::size_t row_bytes = inputs * (view.type == OperandType::bf16 ? 2 : 4);
  copy->resize(std::max(copy->size(), elements / inputs * row_bytes));
  std::byte* at = copy->data();
  for (const auto& [part, tensor] : parts) {
    const auto rows = static_cast<std::size_t>(part.outputs);
    const std::size_t together = part.head_dim == 0 ? rows : static_cast<std::size_t>(part.head_dim);
    for (std::size_t row = 0; row < rows; row += together, at += together * row_bytes) {
      const std::size_t from = part.stored_row(row);
      if (direct)
        std::memcpy(at, tensor->bytes.data() + from * row_bytes, together * row_bytes);
      else
        tensor->read(from * inputs, {reinterpret_cast<float*>(at), together * inputs});
    }
  }
  view.data = copy->data();
  return view;
}

/// Tensors with equal inputs, stored [inputs, outputs].
MatrixView stack_transposed(const std::vector<StoredPart>& parts, AlignedVector<std::byte>* copy) {
  const auto inputs = static_cast<std::size_t>(parts.front().tensor->shape[0]);
  std::size_t outputs = 0;
  for (const StoredPart& one : parts) outputs += static_cast<std::size_t>(one.part.outputs);
  copy->resize(outputs * inputs * sizeof(float));
  auto* row = reinterpret_cast<float*>(copy->data());
  for (const auto& [part, tensor] : parts) {
    const std::vector<float> stored = tensor->read_all();
    const auto width = static_cast<std::size_t>(part.outputs);
    for (std::size_t o = 0; o < width; ++o, row += inputs)
      for (std::size_t i = 0; i < inputs; ++i) row[i] = stored[i * width + o];
  }
  return {static_cast<int>(outputs), static_cast<int>(inputs), OperandType::f32, copy->data()};
}

}  // namespace

const Tensor& WeightReader::tensor(const std::string& name, std::vector<std::int64_t> shape) {
  const Tensor& found = weights_.get(name, shape);
  parameters_ += found.elements();
  return found;
}

PackedMatrixPtr WeightReader::matrix(const std::vector<MatrixPart>& parts, int inputs, MatrixLayout layout) {
  std::vector<StoredPart> stored;
  for (const MatrixPart& part : parts)
    stored.push_back({part, layout == MatrixLayout::outputs_inputs
                                ? &tensor(part.name + ".weight", {part.outputs, inputs})
                                : &tensor(part.name + ".weight", {inputs, part.outputs})});
  const auto add = [](int sum, const MatrixPart& part) { return sum + part.outputs; };
  const int outputs = std::accumulate(parts.begin(), parts.end(), 0, add);
  if (layout == MatrixLayout::outputs_inputs)
    return pack({outputs, inputs, [stored](auto* copy) { return stack(stored, copy); }});
  return pack({outputs, inputs, [stored](auto* copy) { return stack_transposed(stored, copy); }});
}

PackedMatrixPtr WeightReader::matrix(const Tensor& tensor) {
  const int outputs = static_cast<int>(tensor.shape[0]);
  return pack({outputs, static_cast<int>(tensor.shape[1]), [&tensor, outputs](auto* copy) {
                 return stack({{{.name = "", .outputs = outputs}, &tensor}}, copy);
               }});
}

std::vector<float> WeightReader::biases(const std::vector<MatrixPart>& parts) {
  std::vector<float> all;
  for (const MatrixPart& part : parts) {
    const std::vector<float> one = vector(part.name + ".bias", part.outputs);
    for (std::size_t row = 0; row < one.size(); ++row) all.push_back(one[part.stored_row(row)]);
  }
  return all;
}

PackedMatrixPtr WeightReader::pack(MatrixSource source) {
  PackedMatrixPtr packed = packer_.pack_later(std::move(source));
  bytes_ += packed->bytes();
  return packed;
}

}  // namespace shoal::lm::cpu
