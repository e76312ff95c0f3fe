#include "lm/cpu/matmul.hpp"

#include <dnnl.hpp>
#include <mutex>

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

  [[nodiscard]] int outputs() const { return outputs_; }
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

struct PackedMatrix::Packed {
  memory weights;
};

PackedMatrix::PackedMatrix(std::shared_ptr<ProductPlan> plan, std::shared_ptr<const Packed> packed)
    : plan_(std::move(plan)), packed_(std::move(packed)) {}

int PackedMatrix::outputs() const { return plan_->outputs(); }
std::size_t PackedMatrix::bytes() const { return plan_->packed().get_size(); }

void PackedMatrix::multiply(const void* x, int rows, float* y) const {
  if (rows > 0) plan_->multiply(x, rows, packed_->weights, y);
}

PackedMatrix MatrixPacker::pack(const MatrixView& matrix) {
  auto& plan = plans_[{matrix.outputs, matrix.inputs}];
  if (!plan) plan = std::make_shared<ProductPlan>(matrix.outputs, matrix.inputs, type_);
  memory plain({{matrix.inputs, matrix.outputs}, data_type(matrix.type), memory::format_tag::ba}, engine(),
               const_cast<void*>(matrix.data));
  memory packed(plan->packed(), engine());
  dnnl::stream stream(engine());
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  stream.wait();
  return {plan, std::make_shared<const PackedMatrix::Packed>(PackedMatrix::Packed{std::move(packed)})};
}

}  // namespace shoal::lm::cpu
