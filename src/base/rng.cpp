#include "base/rng.hpp"

#include <Random123/philox.h>

namespace shoal {

std::uint64_t random_bits(RandomKey key, std::uint32_t step, LogicalId id, Purpose purpose, std::uint32_t draw) {
  const r123::Philox4x32::ctr_type counter{{id.value(), step, static_cast<std::uint32_t>(purpose), draw}};
  const r123::Philox4x32::key_type philox_key{
      {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32U)}};
  const auto out = r123::Philox4x32{}(counter, philox_key);
  return std::uint64_t{out[1]} << 32U | out[0];
}

double random_uniform(RandomKey key, std::uint32_t step, LogicalId id, Purpose purpose, std::uint32_t draw) {
  const std::uint64_t bits = random_bits(key, step, id, purpose, draw) >> 11U;
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

}  // namespace shoal
