// Which processor the ranks compute on: all on GPUs of one kind, or all on the CPU, because only then the answer does
// not depend on how many ranks there are.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "cluster/world.hpp"
#include "shoal/language_model.hpp"

namespace shoal::agent {

enum class DeviceWish { automatic, cpu, cuda, cuda_if_any };

/// What one rank's node has.
struct GpuOffer {
  std::string host;
  int rank_on_node = 0;
  int gpus = 0;             ///< that the rank sees
  std::string kind;         ///< name of its GPU
  std::string uuid;         ///< of its GPU
  std::string problem;      ///< why it cannot compute on one; empty if it can
  std::string nccl_host{};  ///< what the rank's NCCL takes for its host, if not the host: $NCCL_HOSTID
};

struct DeviceChoice {
  Device device;
  std::string note;           ///< for the user; empty: nothing to say
  bool gpu_for_each = false;  ///< all ranks have GPUs, and no two share one as far as NCCL can see
};

/// @param offers by rank @param rank whose choice it is
/// @param beyond_gpus why no GPU computes the model, if so
/// @throws UsageError where cuda is asked for and some rank lacks it, naming the rank and its node, or for beyond_gpus
DeviceChoice choose_device(DeviceWish wish, std::span<const GpuOffer> offers, Rank rank,
                           const std::string& beyond_gpus = "");

/// Asks every rank; collective. The driver is not even looked for where the wish is cpu, nor the model where there is
/// no GPU. @param model as load_model names it @param options its types of numbers
/// @throws AgreedError
DeviceChoice choose_device(DeviceWish wish, const std::string& model, const LoadOptions& options,
                           cluster::World* world);

/// Of what `--device` and `--use-gpu-monte-carlo` say, for a model and types of numbers: a table is the CPU's alone.
/// @throws UsageError where cuda is asked for f32, or for keys and values in 8 bits
DeviceWish device_wish(const std::string& device, bool use_gpu, const std::string& model, DType dtype,
                       KvDType kv_dtype = KvDType::automatic);

}  // namespace shoal::agent
