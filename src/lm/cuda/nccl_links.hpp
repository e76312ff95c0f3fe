// GpuLinks by NCCL.
#pragma once

#include <memory>

#include "lm/cuda/gpu_links.hpp"

namespace shoal::lm::cuda {

/// @throws Error
GpuLinkId make_link_id();
/// Collective: returns when all @p size ranks have come.
/// @param gpu its number among those that the process sees @param patience_s how long to wait for the others
/// @throws Error
std::unique_ptr<GpuLinks> join_links(const GpuLinkId& id, int rank, int size, int gpu, double patience_s);

}  // namespace shoal::lm::cuda
