// WeightMemory: where the packed weights of a model lie. The processes of a node that load it together keep one copy:
// each asks for the same pieces in the same order, and fills those that are its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "shoal/language_model.hpp"

namespace shoal::lm {

/// Packed weights that begin on a page; kept until the last user is gone.
struct PackedBytes {
  std::shared_ptr<std::byte[]> data;
  bool ours = true;  ///< to be filled by this process; the others see it when they have all loaded the model
};

class WeightMemory {
 public:
  explicit WeightMemory(NodeShare node = {});

  /// Zeroed. A piece goes to the process that has least to fill so far: ask for the largest first.
  /// @throws std::bad_alloc
  PackedBytes take(std::size_t bytes);
  /// Has the system provide the pages of a piece at once, which is quicker than one by one as they are written.
  static void populate(std::span<std::byte> piece);

 private:
  NodeShare node_;
  std::uint64_t end_ = 0;               ///< of the pieces in the shared file
  std::vector<std::uint64_t> to_fill_;  ///< bytes, by process
};

}  // namespace shoal::lm
