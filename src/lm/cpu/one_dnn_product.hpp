// OneDnnProduct: oneDNN's code for products with weight matrices of one shape, compiled per number of rows on first
// use. A row of the result has the same bits whatever the number of rows and threads (measured for oneDNN's packed
// kernels on AVX-512; tests/lm checks it on the machine at hand).
#pragma once

#include <dnnl.hpp>
#include <map>
#include <mutex>
#include <utility>

namespace shoal::lm::cpu {

/// The processor, without AMX tiles: their results would depend on the number of rows.
const dnnl::engine& one_dnn_engine();

struct ProductTypes {
  dnnl::memory::data_type operand, weights, result;
};

class OneDnnProduct {
 public:
  OneDnnProduct(int outputs, int inputs, ProductTypes types);

  /// Layout of the weights, the same for every number of rows.
  [[nodiscard]] const dnnl::memory::desc& packed() const { return packed_; }
  /// Weights in that layout which lie, or will lie, at @p data.
  [[nodiscard]] dnnl::memory weights_at(void* data) const;
  /// Writes @p plain, row-major [outputs, inputs] of @p type, to @p weights.
  void pack(const void* plain, dnnl::memory::data_type type, dnnl::memory weights) const;
  /// y[rows, outputs] = x[rows, inputs] W^T
  void multiply(const void* x, int rows, const dnnl::memory& weights, void* y);

 private:
  [[nodiscard]] dnnl::memory::desc operand(int rows) const;
  [[nodiscard]] dnnl::memory::desc result(int rows) const;
  const dnnl::matmul& compiled(int rows);

  int outputs_;
  int inputs_;
  ProductTypes types_;
  dnnl::memory::desc packed_;
  std::mutex mutex_;
  std::map<std::pair<int, int>, dnnl::matmul> by_rows_and_threads_;  ///< a product's threads are compiled into it
};

}  // namespace shoal::lm::cpu
