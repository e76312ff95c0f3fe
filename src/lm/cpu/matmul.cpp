#include "lm/cpu/matmul.hpp"

#include <algorithm>
#include <dnnl.hpp>
#include <mutex>

#include "base/parallel.hpp"
#include "lm/aligned.hpp"
#include "lm/cpu/kernels.hpp"

namespace shoal::lm::cpu {
namespace {

using dnnl::memory;

/// AMX tiles are left out: their results would depend on the number of rows.
const dnnl::engine& engine() {
  static const dnnl::engine cpu = [] {
    dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core_bf16);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return cpu;
}

memory::data_type data_type(OperandType type) {
  return type == OperandType::f32 ? memory::data_type::f32 : memory::data_type::bf16;
}

dnnl::matmul::primitive_desc describe(const memory::desc& x, const memory::desc& weights, const memory::desc& y) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), x, weights, y};
#else
  return {dnnl::matmul::desc(x, weights, y), engine()};
#endif
}

}  // namespace

bool has_fast_bf16() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

ProductLibrary best_library(OperandType type) {
#ifdef __x86_64__
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (type == OperandType::f32 ? avx512 : has_fast_bf16()) return ProductLibrary::one_dnn;
#endif
  return ProductLibrary::own;
}

/// The code for products with matrices of one shape, compiled per number of rows on first use.
class ProductPlan {
 public:
  ProductPlan(int outputs, int inputs, OperandType type)
      : outputs_(outputs),
        inputs_(inputs),
        type_(data_type(type)),
        packed_(
            describe(operand(typical_rows), {{inputs, outputs}, type_, memory::format_tag::any}, result(typical_rows))
                .weights_desc()) {}

  [[nodiscard]] const memory::desc& packed() const { return packed_; }

  void multiply(const void* x, int rows, const memory& weights, float* y) {
    const dnnl::matmul& product = compiled(rows);
    dnnl::stream stream(engine());
    product.execute(stream, {{DNNL_ARG_SRC, memory(operand(rows), engine(), const_cast<void*>(x))},
                             {DNNL_ARG_WEIGHTS, weights},
                             {DNNL_ARG_DST, memory(result(rows), engine(), y)}});
    stream.wait();
  }

 private:
  static constexpr int typical_rows = 256;

  [[nodiscard]] memory::desc operand(int rows) const { return {{rows, inputs_}, type_, memory::format_tag::ab}; }
  [[nodiscard]] memory::desc result(int rows) const {
    return {{rows, outputs_}, memory::data_type::f32, memory::format_tag::ab};
  }
  const dnnl::matmul& compiled(int rows) {
    const std::lock_guard lock(mutex_);
    auto found = by_rows_.find(rows);
    if (found == by_rows_.end())
      found = by_rows_.emplace(rows, dnnl::matmul(describe(operand(rows), packed_, result(rows)))).first;
    return found->second;
  }

  int outputs_;
  int inputs_;
  memory::data_type type_;
  memory::desc packed_;
  std::mutex mutex_;
  std::map<int, dnnl::matmul> by_rows_;
};

namespace {

class OneDnnMatrix final : public PackedMatrix {
 public:
  OneDnnMatrix(std::shared_ptr<ProductPlan> plan, const MatrixView& matrix)
      : plan_(std::move(plan)), weights_(plan_->packed(), engine()) {
    memory plain({{matrix.inputs, matrix.outputs}, data_type(matrix.type), memory::format_tag::ba}, engine(),
                 const_cast<void*>(matrix.data));
    dnnl::stream stream(engine());
    dnnl::reorder(plain, weights_).execute(stream, plain, weights_);
    stream.wait();
  }
  [[nodiscard]] std::size_t bytes() const override { return plan_->packed().get_size(); }
  void multiply(const void* x, int rows, float* y) const override {
    if (rows > 0) plan_->multiply(x, rows, weights_, y);
  }

 private:
  std::shared_ptr<ProductPlan> plan_;
  memory weights_;
};

void assign(float value, float* to) { *to = value; }
void assign(float value, Bf16* to) { *to = Bf16::from_float(value); }

float element(const MatrixView& matrix, std::size_t index) {
  if (matrix.type == OperandType::f32) return static_cast<const float*>(matrix.data)[index];
  return static_cast<const Bf16*>(matrix.data)[index].to_float();
}

/// Panels of 16 outputs, each [inputs][16].
template <class T>
class OwnMatrix final : public PackedMatrix {
 public:
  explicit OwnMatrix(const MatrixView& matrix)
      : outputs_(matrix.outputs), inputs_(matrix.inputs), weights_(panels() * panel_size()) {
    parallel_for(panels(), [&](std::size_t panel) {
      for (std::size_t i = 0; i < panel_size(); ++i) {
        const std::size_t output = panel * width + i % width;
        const std::size_t index = output * static_cast<std::size_t>(inputs_) + i / width;
        assign(output < static_cast<std::size_t>(outputs_) ? element(matrix, index) : 0.0F,
               &weights_[panel * panel_size() + i]);
      }
    });
  }
  [[nodiscard]] std::size_t bytes() const override { return weights_.size() * sizeof(T); }
  void multiply(const void* x, int rows, float* y) const override {
    parallel_for(panels(), [&](std::size_t panel) {
      const int first = static_cast<int>(panel * width);
      kernels<T>().multiply({.x = static_cast<const T*>(x),
                             .rows = rows,
                             .inputs = inputs_,
                             .panel = weights_.data() + panel * panel_size(),
                             .outputs = std::min(static_cast<int>(width), outputs_ - first),
                             .y = y + first,
                             .stride = outputs_});
    });
  }

 private:
  static constexpr std::size_t width = 16;
  [[nodiscard]] std::size_t panels() const { return (static_cast<std::size_t>(outputs_) + width - 1) / width; }
  [[nodiscard]] std::size_t panel_size() const { return static_cast<std::size_t>(inputs_) * width; }

  int outputs_;
  int inputs_;
  AlignedVector<T> weights_;
};

}  // namespace

PackedMatrixPtr MatrixPacker::pack(const MatrixView& matrix) {
  if (library_ == ProductLibrary::own) {
    if (type_ == OperandType::bf16) return std::make_unique<OwnMatrix<Bf16>>(matrix);
    return std::make_unique<OwnMatrix<float>>(matrix);
  }
  auto& plan = plans_[{matrix.outputs, matrix.inputs}];
  if (!plan) plan = std::make_shared<ProductPlan>(matrix.outputs, matrix.inputs, type_);
  return std::make_unique<OneDnnMatrix>(plan, matrix);
}

}  // namespace shoal::lm::cpu
