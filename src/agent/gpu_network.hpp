// How the ranks' GPUs reach each other.
#pragma once

#include <memory>
#include <string>

#include "agent/device.hpp"
#include "lm/cuda/gpu_links.hpp"

namespace shoal::agent {

struct GpuNetwork {
  std::shared_ptr<lm::GpuLinks> links;  ///< null: MPI is used instead
  std::string line;                     ///< which it is, and why; empty for a single rank
  bool is_warning = false;              ///< NCCL should have worked, but has not
};

/// NCCL where every rank has a GPU of its own. Collective, after the GPUs are chosen; all ranks get the same.
GpuNetwork link_gpus(cluster::World* world, const DeviceChoice& choice);

}  // namespace shoal::agent
