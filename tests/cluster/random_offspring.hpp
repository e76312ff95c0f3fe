// Random owner maps and offspring for tests of migration, equal on every rank.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::test {

class RandomOffspring {
 public:
  explicit RandomOffspring(std::uint64_t seed) : engine_(seed) {}

  int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }

  /// Any map, also with empty ranks, or all particles on one.
  std::vector<Rank> owners(int particles, int ranks) {
    std::vector<Rank> owners;
    const int used = 1 + below(ranks);
    for (int i = 0; i < particles; ++i) owners.emplace_back((below(used) + used) % ranks);
    return owners;
  }

  /// Parents of the children, sorted: everybody one, one survivor, or drawn with weights from even to extreme.
  std::vector<LogicalId> ancestors(int particles) {
    const int kind = below(6);
    const int survivor = below(particles);
    std::vector<LogicalId> parents;
    for (int i = 0; i < particles; ++i) {
      const double u = static_cast<double>(engine_() >> 11U) * 0x1p-53;
      int parent = i;
      if (kind == 1) parent = survivor;
      if (kind >= 2) parent = static_cast<int>(particles * std::pow(u, kind - 1));
      parents.emplace_back(static_cast<std::uint32_t>(parent));
    }
    std::sort(parents.begin(), parents.end());
    return parents;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace shoal::test
