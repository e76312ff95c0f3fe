// The CUDA plugin, libshoal_cuda.so: loaded when a GPU is to be used, so that one build runs on nodes with and without
// GPUs. It implements Transformer with classes of this program's own headers, so both must come from one build.
#pragma once

#include <memory>
#include <string>

#include "lm/cuda/gpu_links.hpp"
#include "lm/transformer.hpp"

namespace shoal::lm {

/// What the plugin hands out.
struct CudaPlugin {
  // A GPU is named by its number among those that the process sees.
  /// Why CUDA cannot use it; empty if it can.
  std::string (*problem)(int gpu);
  /// @throws ModelError
  std::unique_ptr<Transformer> (*load_transformer)(const TransformerConfig& config,
                                                   std::shared_ptr<const Safetensors> weights,
                                                   const LoadOptions& options);
  GpuLinkId (*make_link_id)();
  /// Collective over @p size ranks. @throws Error
  std::unique_ptr<GpuLinks> (*join_links)(const GpuLinkId& id, int rank, int size, int gpu, double patience_s);
};

/// Of the classes that cross the border and of the compiler that laid them out; checked before anything else is called.
/// The number rises whenever one of the classes changes.
#define SHOAL_CUDA_ABI "shoal 3, " __VERSION__

/// Names of the plugin's two entry points: `const char* shoal_cuda_abi()`, `const CudaPlugin* shoal_cuda_plugin()`.
inline constexpr const char* cuda_abi_symbol = "shoal_cuda_abi";
inline constexpr const char* cuda_plugin_symbol = "shoal_cuda_plugin";

/// The file: $SHOAL_CUDA_PLUGIN, beside the program, where it is installed or where it was built; empty if there is
/// none.
std::string find_cuda_plugin();
/// Why no transformer can be computed on a GPU of this node; empty if it can. Loads the plugin if there is a GPU.
std::string cuda_problem(int gpu);

/// @throws ModelError
std::unique_ptr<Transformer> load_cuda_transformer(const TransformerConfig& config,
                                                   std::shared_ptr<const Safetensors> weights,
                                                   const LoadOptions& options);

/// As GpuLinks says, by the plugin. Only where cuda_problem() has found none.
GpuLinkId make_gpu_link_id();
/// Collective: returns when all @p size ranks have come.
/// @param gpu its number among those that the process sees @param patience_s how long to wait for the others
/// @throws Error
std::unique_ptr<GpuLinks> join_gpu_links(const GpuLinkId& id, int rank, int size, int gpu, double patience_s);

}  // namespace shoal::lm
