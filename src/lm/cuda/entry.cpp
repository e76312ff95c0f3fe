// The plugin's two entry points.
#include "lm/cuda/nccl_links.hpp"
#include "lm/cuda/plugin.hpp"
#include "lm/cuda/transformer.hpp"

extern "C" {

__attribute__((visibility("default"))) const char* shoal_cuda_abi() { return SHOAL_CUDA_ABI; }

__attribute__((visibility("default"))) const shoal::lm::CudaPlugin* shoal_cuda_plugin() {
  static const shoal::lm::CudaPlugin plugin{.problem = shoal::lm::cuda::problem_of,
                                            .load_transformer = shoal::lm::cuda::load_transformer,
                                            .make_link_id = shoal::lm::cuda::make_link_id,
                                            .join_links = shoal::lm::cuda::join_links};
  return &plugin;
}
}
