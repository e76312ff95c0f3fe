#include "lm/cuda/plugin.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "lm/cuda/gpus.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

struct LoadedPlugin {
  const CudaPlugin* plugin = nullptr;
  std::string problem;
};

LoadedPlugin open_plugin(const std::string& file) {
  if (file.empty()) return {nullptr, "the CUDA plugin libshoal_cuda.so is not there: this build has none"};
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {nullptr, std::string("the CUDA plugin cannot be loaded: ") + dlerror()};
  const auto abi = reinterpret_cast<const char* (*)()>(dlsym(library, cuda_abi_symbol));
  const auto plugin = reinterpret_cast<const CudaPlugin* (*)()>(dlsym(library, cuda_plugin_symbol));
  if (abi == nullptr || plugin == nullptr) return {nullptr, "'" + file + "' is not Shoal's CUDA plugin"};
  if (std::string_view(abi()) != SHOAL_CUDA_ABI)
    return {nullptr,
            "the CUDA plugin '" + file + "' is of another build: '" + abi() + "' instead of '" SHOAL_CUDA_ABI "'"};
  return {plugin(), ""};
}

const LoadedPlugin& loaded_plugin() {
  static const LoadedPlugin loaded = open_plugin(find_cuda_plugin());
  return loaded;
}

std::string too_old(const Gpu& gpu) {
  if (gpu.compute_capability >= oldest_compute_capability) return "";
  return "the GPU " + gpu.name + " is too old: compute capability " + std::to_string(gpu.compute_capability / 10) +
         "." + std::to_string(gpu.compute_capability % 10) + ", 8.0 is needed";
}

}  // namespace

std::string find_cuda_plugin() {
  std::error_code ignored;
  if (const char* given = std::getenv("SHOAL_CUDA_PLUGIN"); given != nullptr && *given != '\0')
    return fs::exists(given, ignored) ? given : "";
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const fs::path& candidate : {folder / "libshoal_cuda.so", folder.parent_path() / SHOAL_CUDA_BESIDE_PROGRAM,
                                    fs::path(SHOAL_CUDA_INSTALLED), fs::path(SHOAL_CUDA_BUILT)})
    if (fs::exists(candidate, ignored)) return candidate.string();
  return "";
}

std::string cuda_problem(int gpu) {
  const Gpus& gpus = find_gpus();
  if (!gpus.problem.empty()) return gpus.problem;
  if (const std::string problem = too_old(gpus.all[static_cast<std::size_t>(gpu)]); !problem.empty()) return problem;
  const LoadedPlugin& loaded = loaded_plugin();
  return loaded.plugin == nullptr ? loaded.problem : loaded.plugin->problem(gpu);
}

std::unique_ptr<Transformer> load_cuda_transformer(const TransformerConfig& config,
                                                   std::shared_ptr<const Safetensors> weights,
                                                   const LoadOptions& options) {
  if (const std::string problem = cuda_problem(options.device.gpu); !problem.empty())
    throw ModelError("no GPU can be used (" + problem + ") use --device cpu");
  return loaded_plugin().plugin->load_transformer(config, std::move(weights), options);
}

GpuLinkId make_gpu_link_id() { return loaded_plugin().plugin->make_link_id(); }

std::unique_ptr<GpuLinks> join_gpu_links(const GpuLinkId& id, int rank, int size, int gpu, double patience_s) {
  return loaded_plugin().plugin->join_links(id, rank, size, gpu, patience_s);
}

}  // namespace shoal::lm
