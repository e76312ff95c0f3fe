#include "lm/cpu/one_dnn_product.hpp"

#include "base/parallel.hpp"

namespace shoal::lm::cpu {
namespace {

using dnnl::memory;

constexpr int typical_rows = 256;

dnnl::matmul::primitive_desc describe(const memory::desc& x, const memory::desc& weights, const memory::desc& y) {
#if DNNL_VERSION_MAJOR >= 3
  return {one_dnn_engine(), x, weights, y};
#else
  return {dnnl::matmul::desc(x, weights, y), one_dnn_engine()};
#endif
}

}  // namespace

const dnnl::engine& one_dnn_engine() {
  static const dnnl::engine cpu = [] {
    dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core_bf16);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return cpu;
}

OneDnnProduct::OneDnnProduct(int outputs, int inputs, ProductTypes types)
    : outputs_(outputs),
      inputs_(inputs),
      types_(types),
      packed_(describe(operand(typical_rows), {{inputs, outputs}, types.weights, memory::format_tag::any},
                       result(typical_rows))
                  .weights_desc()) {}

memory OneDnnProduct::weights_at(void* data) const { return {packed_, one_dnn_engine(), data}; }

void OneDnnProduct::pack(const void* plain, memory::data_type type, memory weights) const {
  memory from({{inputs_, outputs_}, type, memory::format_tag::ba}, one_dnn_engine(), const_cast<void*>(plain));
  dnnl::stream stream(one_dnn_engine());
  dnnl::reorder(from, weights).execute(stream, from, weights);
  stream.wait();
}

void OneDnnProduct::multiply(const void* x, int rows, const memory& weights, void* y) {
  const dnnl::matmul& product = compiled(rows);
  dnnl::stream stream(one_dnn_engine());
  product.execute(stream, {{DNNL_ARG_SRC, memory(operand(rows), one_dnn_engine(), const_cast<void*>(x))},
                           {DNNL_ARG_WEIGHTS, weights},
                           {DNNL_ARG_DST, memory(result(rows), one_dnn_engine(), y)}});
  stream.wait();
}

memory::desc OneDnnProduct::operand(int rows) const {
  return {{rows, inputs_}, types_.operand, memory::format_tag::ab};
}

memory::desc OneDnnProduct::result(int rows) const { return {{rows, outputs_}, types_.result, memory::format_tag::ab}; }

const dnnl::matmul& OneDnnProduct::compiled(int rows) {
  const std::lock_guard lock(mutex_);
  const std::pair key(rows, worker_threads());
  auto found = by_rows_and_threads_.find(key);
  if (found == by_rows_and_threads_.end())
    found = by_rows_and_threads_.emplace(key, dnnl::matmul(describe(operand(rows), packed_, result(rows)))).first;
  return found->second;
}

}  // namespace shoal::lm::cpu
