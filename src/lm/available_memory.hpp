// How much memory this process can still take, by the kernel's estimate and the limit of its control group.
#pragma once

#include <cstdint>

namespace shoal::lm {

/// Bytes; the largest value if the system does not tell.
std::uint64_t available_memory();

}  // namespace shoal::lm
