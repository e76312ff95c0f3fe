// Model: a language model together with how Monte Carlo is to be used on it. Field names follow the guide.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "shoal/language_model.hpp"

namespace shoal {

namespace cluster {
class World;
}
namespace lm {
class GpuLinks;
}

struct ModelSettings {
  std::string model_type = "huggingface";    ///< huggingface, or minnow: the shipped model
  std::string model_size = "small_context";  ///< a name of model_id_of_size, or any source that load_model takes
  bool use_cache = false;                    ///< answer a conversation seen before from memory
  bool use_monte_carlo = true;               ///< false: one unsteered sample
  bool use_parallel_monte_carlo = true;      ///< false: one worker thread
  /// CPU threads of this rank; 0 = the node's cores - 1, shared among its ranks. On a GPU: the parts in which it
  /// decodes its particles, so that potentials run beside; 0 = 2 per GPU.
  int monte_carlo_workers = 0;
  int monte_carlo_particles = 50;
  bool use_gpu_monte_carlo = false;  ///< a GPU if the build and the machine have one
  double monte_carlo_timeout = 0.0;  ///< seconds for one answer; 0 = no limit
  int monte_carlo_batch_size = 10;   ///< tokens between two reweightings
  int max_tokens = 128;
  double temperature = 1.0;
  double ess_threshold = 0.5;
  std::uint64_t seed = 0;
  std::string dtype = "auto";     ///< auto, f32, bf16 or int8
  std::string kv_dtype = "auto";  ///< of keys and values: auto, or int8 (on the CPU)
};

/// The checkpoint that a size of the guide stands for, e.g. small_context -> Qwen/Qwen1.5-0.5B-Chat; empty if unknown.
std::string model_id_of_size(const std::string& size);

/// A loaded model. Under mpirun every rank creates its own, with equal settings.
struct Model {
  ModelSettings settings;
  std::shared_ptr<const LanguageModel> language_model;
  std::shared_ptr<cluster::World> world;  ///< the MPI ranks that answer together
  std::shared_ptr<lm::GpuLinks> gpus;     ///< the links between their GPUs; null: MPI
  int micro_batches = 0;                  ///< on a GPU, the parts in which a rank's particles are decoded
};

/// @throws ModelError if the checkpoint is absent (with the download command) or cannot be loaded; UsageError for a bad
///         setting
std::shared_ptr<const Model> create_model(const ModelSettings& settings);

}  // namespace shoal
