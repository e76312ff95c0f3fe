// Finds histories that are equal: those with the same tokens and status. Internal to src/smc.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "smc/run_state.hpp"

namespace shoal::smc {

/// Lets equal ones of several histories be one, the first. Dead ones count as all different: they keep what killed
/// them.
/// @param join called with the one that stays and one that goes
/// @return new index of each
template <class SomeHistory, class Join>
std::vector<std::uint32_t> merge_equal(std::vector<SomeHistory>* histories, const Join& join) {
  const auto hash = [histories](std::uint32_t i) {
    auto value = static_cast<std::uint64_t>((*histories)[i].status);
    for (const TokenId token : (*histories)[i].tokens) {
      value = (value ^ static_cast<std::uint32_t>(token.value())) * 0x9E3779B97F4A7C15ULL;
      value ^= value >> 32U;
    }
    return static_cast<std::size_t>(value);
  };
  const auto equal = [histories](std::uint32_t i, std::uint32_t k) {
    const SomeHistory& a = (*histories)[i];
    const SomeHistory& b = (*histories)[k];
    return a.status == b.status && a.tokens == b.tokens;
  };
  std::unordered_set<std::uint32_t, decltype(hash), decltype(equal)> seen(histories->size(), hash, equal);
  std::vector<std::uint32_t> moved_to(histories->size());
  std::vector<std::uint32_t> kept;
  for (std::uint32_t i = 0; i < histories->size(); ++i) {
    const std::uint32_t first = (*histories)[i].status == Status::dead ? i : *seen.insert(i).first;
    moved_to[i] = first == i ? static_cast<std::uint32_t>(kept.size()) : moved_to[first];
    if (first == i)
      kept.push_back(i);
    else
      join(&(*histories)[first], (*histories)[i]);
  }
  for (std::uint32_t k = 0; k < kept.size(); ++k)
    if (kept[k] != k) (*histories)[k] = std::move((*histories)[kept[k]]);
  histories->resize(kept.size());
  return moved_to;
}

}  // namespace shoal::smc
