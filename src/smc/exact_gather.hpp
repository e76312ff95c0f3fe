// Whole numbers of every rank on every rank.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "smc/transport.hpp"
#include "smc/weights.hpp"

namespace shoal::smc {

/// By rank. Exact by way of a maximum of doubles: 32 bits travel in each. Collective.
template <std::size_t count>
std::vector<std::array<Uint128, count>> all_gather(const std::array<Uint128, count>& mine, Transport* transport) {
  constexpr std::size_t parts = 4;
  constexpr unsigned bits = 32;
  const auto ranks = static_cast<std::size_t>(transport->size());
  std::vector<double> entries(ranks * count * parts, 0.0);
  auto entry = entries.begin() + transport->rank().value() * static_cast<std::ptrdiff_t>(count * parts);
  for (const Uint128 value : mine)
    for (unsigned k = 0; k < parts; ++k) *entry++ = static_cast<double>(static_cast<std::uint32_t>(value >> k * bits));
  transport->allreduce_max(entries);

  std::vector<std::array<Uint128, count>> all(ranks);
  auto from = entries.cbegin();
  for (auto& of_rank : all)
    for (Uint128& value : of_rank)
      for (unsigned k = 0; k < parts; ++k) value |= Uint128{static_cast<std::uint32_t>(*from++)} << k * bits;
  return all;
}

}  // namespace shoal::smc
