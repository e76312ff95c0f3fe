// Counter-based random numbers: Philox-4x32-10 (Salmon et al., SC11) keyed by the run's seed and addressed by
// (step, logical id, purpose, draw), so that a particle draws the same numbers on whichever rank it lives.
#pragma once

#include <cstdint>

#include "shoal/ids.hpp"

namespace shoal {

/// What a random number is for. One registry, so that no two uses share a stream.
enum class Purpose : std::uint32_t { token = 1, resample = 2, residual = 3, proposal = 4, synthetic = 5 };

struct RandomKey {
  std::uint64_t seed = 0;
};

/// 64 uniformly distributed bits.
std::uint64_t random_bits(RandomKey key, std::uint32_t step, LogicalId id, Purpose purpose, std::uint32_t draw = 0);

/// Uniform in the open interval (0, 1), 53 bits.
double random_uniform(RandomKey key, std::uint32_t step, LogicalId id, Purpose purpose, std::uint32_t draw = 0);

}  // namespace shoal
