// Graphs: passes recorded once per number of rows and run again with one call.
#pragma once

#include <cuda_runtime_api.h>

#include <map>

#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {

class Graphs {
 public:
  explicit Graphs(const Stream& stream) : stream_(stream) {}
  ~Graphs() { clear(); }
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;

  /// Does what @p pass() puts into the stream, from a recording of it if there is one.
  template <class Pass>
  void run(int rows, const Pass& pass) {
    auto at = by_rows_.find(rows);
    if (at == by_rows_.end()) at = by_rows_.emplace(rows, record(pass)).first;
    check(cudaGraphLaunch(at->second, stream_.get()), "cudaGraphLaunch");
  }
  /// After an address has changed. Nothing recorded may be running.
  void clear() {
    for (const auto& [rows, graph] : by_rows_) cudaGraphExecDestroy(graph);
    by_rows_.clear();
  }

 private:
  template <class Pass>
  cudaGraphExec_t record(const Pass& pass) const {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      pass();
    } catch (...) {
      cudaStreamEndCapture(stream_.get(), &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    check(cudaStreamEndCapture(stream_.get(), &graph), "cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t code = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(code, "cudaGraphInstantiate");
    return executable;
  }

  const Stream& stream_;
  std::map<int, cudaGraphExec_t> by_rows_;
};

}  // namespace shoal::lm::cuda
