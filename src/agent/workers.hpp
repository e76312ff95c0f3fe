// How many CPU threads a rank uses.
#pragma once

#include <algorithm>

namespace shoal::agent {

/// @p requested, or the node's cores less one shared among its ranks, at least one.
inline int choose_workers(int requested, int cores, int ranks_on_node) {
  return requested > 0 ? requested : std::max(1, (cores - 1) / ranks_on_node);
}

}  // namespace shoal::agent
