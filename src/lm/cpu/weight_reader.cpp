#include "lm/cpu/weight_reader.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

namespace shoal::lm::cpu {
namespace {

/// A header may end anywhere.
bool is_aligned(const std::byte* data) { return reinterpret_cast<std::uintptr_t>(data) % sizeof(float) == 0; }

/// Tensors with equal inputs, one below the other, in a type that the packer reads: in @p copy if that is needed.
MatrixView stack(const std::vector<const Tensor*>& parts, AlignedVector<std::byte>* copy) {
  const auto type = parts.front()->type;
  const bool direct = std::all_of(parts.begin(), parts.end(),
                                  [&](const Tensor* t) { return t->type == type && type != StorageType::f16; });
  MatrixView view{.outputs = 0,
                  .inputs = static_cast<int>(parts.front()->shape[1]),
                  .type = direct && type == StorageType::bf16 ? OperandType::bf16 : OperandType::f32,
                  .data = parts.front()->bytes.data()};
  std::size_t elements = 0;
  for (const Tensor* part : parts) {
    view.outputs += static_cast<int>(part->shape[0]);
    elements += part->elements();
  }
  if (direct && parts.size() == 1 && is_aligned(parts.front()->bytes.data())) return view;
  copy->resize(std::max(copy->size(), elements * (view.type == OperandType::bf16 ? 2 : 4)));
  std::byte* at = copy->data();
  for (const Tensor* part : parts) {
    if (direct)
      std::memcpy(at, part->bytes.data(), part->bytes.size());
    else
      part->read(0, {reinterpret_cast<float*>(at), part->elements()});
    at += part->elements() * (view.type == OperandType::bf16 ? 2 : 4);
  }
  view.data = copy->data();
  return view;
}

/// Tensors with equal inputs, stored [inputs, outputs].
MatrixView stack_transposed(const std::vector<const Tensor*>& parts, AlignedVector<std::byte>* copy) {
  const auto inputs = static_cast<std::size_t>(parts.front()->shape[0]);
  std::size_t outputs = 0;
  for (const Tensor* part : parts) outputs += static_cast<std::size_t>(part->shape[1]);
  copy->resize(outputs * inputs * sizeof(float));
  auto* row = reinterpret_cast<float*>(copy->data());
  for (const Tensor* part : parts) {
    const std::vector<float> stored = part->read_all();
    const auto width = static_cast<std::size_t>(part->shape[1]);
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
  std::vector<const Tensor*> tensors;
  for (const MatrixPart& part : parts)
    tensors.push_back(layout == MatrixLayout::outputs_inputs ? &tensor(part.name + ".weight", {part.outputs, inputs})
                                                             : &tensor(part.name + ".weight", {inputs, part.outputs}));
  const auto add = [](int sum, const MatrixPart& part) { return sum + part.outputs; };
  const int outputs = std::accumulate(parts.begin(), parts.end(), 0, add);
  if (layout == MatrixLayout::outputs_inputs)
    return pack({outputs, inputs, [tensors](auto* copy) { return stack(tensors, copy); }});
  return pack({outputs, inputs, [tensors](auto* copy) { return stack_transposed(tensors, copy); }});
}

PackedMatrixPtr WeightReader::matrix(const Tensor& tensor) {
  return pack({static_cast<int>(tensor.shape[0]), static_cast<int>(tensor.shape[1]),
               [&tensor](auto* copy) { return stack({&tensor}, copy); }});
}

std::vector<float> WeightReader::biases(const std::vector<MatrixPart>& parts) {
  std::vector<float> all;
  for (const MatrixPart& part : parts) {
    const std::vector<float> one = vector(part.name + ".bias", part.outputs);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

PackedMatrixPtr WeightReader::pack(MatrixSource source) {
  PackedMatrixPtr packed = packer_.pack_later(std::move(source));
  bytes_ += packed->bytes();
  return packed;
}

}  // namespace shoal::lm::cpu
