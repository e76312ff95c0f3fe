#include "lm/cpu/weight_reader.hpp"

#include <algorithm>
#include <span>

namespace shoal::lm::cpu {
namespace {

/// Tensors with equal inputs, one below the other, in a type that the packer reads.
class StackedMatrix {
 public:
  explicit StackedMatrix(std::vector<const Tensor*> parts) : parts_(std::move(parts)) {
    const auto type = parts_.front()->type;
    const bool direct = std::all_of(parts_.begin(), parts_.end(),
                                    [&](const Tensor* t) { return t->type == type && type != StorageType::f16; });
    view_.inputs = static_cast<int>(parts_.front()->shape[1]);
    for (const Tensor* part : parts_) view_.outputs += static_cast<int>(part->shape[0]);
    view_.type = direct && type == StorageType::bf16 ? OperandType::bf16 : OperandType::f32;
    if (direct && parts_.size() == 1 && is_aligned(parts_.front()->bytes.data()))
      view_.data = parts_.front()->bytes.data();
    else
      view_.data = direct ? copy_bytes() : convert();
  }
  [[nodiscard]] const MatrixView& view() const { return view_; }

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
  MatrixView view_;
};

/// Appends the tensor, stored [inputs, outputs], as rows of outputs.
void append_transposed(const Tensor& tensor, std::vector<float>* rows) {
  const std::vector<float> stored = tensor.read_all();
  const auto inputs = static_cast<std::size_t>(tensor.shape[0]), outputs = static_cast<std::size_t>(tensor.shape[1]);
  const std::size_t begin = rows->size();
  rows->resize(begin + stored.size());
  for (std::size_t i = 0; i < inputs; ++i)
    for (std::size_t o = 0; o < outputs; ++o) (*rows)[begin + o * inputs + i] = stored[i * outputs + o];
}

}  // namespace

const Tensor& WeightReader::tensor(const std::string& name, std::vector<std::int64_t> shape) {
  const Tensor& found = weights_.get(name, shape);
  parameters_ += found.elements();
  return found;
}

PackedMatrixPtr WeightReader::matrix(const std::vector<Part>& parts, int inputs, MatrixLayout layout) {
  std::vector<const Tensor*> tensors;
  std::vector<float> rows;
  int outputs = 0;
  for (const Part& part : parts) {
    outputs += part.outputs;
    if (layout == MatrixLayout::outputs_inputs)
      tensors.push_back(&tensor(part.name + ".weight", {part.outputs, inputs}));
    else
      append_transposed(tensor(part.name + ".weight", {inputs, part.outputs}), &rows);
  }
  if (layout == MatrixLayout::outputs_inputs) return pack(StackedMatrix(std::move(tensors)).view());
  return pack({outputs, inputs, OperandType::f32, rows.data()});
}

PackedMatrixPtr WeightReader::matrix(const Tensor& tensor) { return pack(StackedMatrix({&tensor}).view()); }

std::vector<float> WeightReader::biases(const std::vector<Part>& parts) {
  std::vector<float> all;
  for (const Part& part : parts) {
    const std::vector<float> one = vector(part.name + ".bias", part.outputs);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

PackedMatrixPtr WeightReader::pack(const MatrixView& view) {
  PackedMatrixPtr packed = packer_.pack(view);
  bytes_ += packed->bytes();
  return packed;
}

}  // namespace shoal::lm::cpu
