// NodeFile: an anonymous file in memory that the ranks of a node have open in common. It has no name and no size of its
// own: it takes the memory that is written to, and is gone with the last of its users, however they end.
#pragma once

#include "shoal/language_model.hpp"

namespace shoal::cluster {

class World;

class NodeFile {
 public:
  /// Collective. If the node has one rank, or does not let its ranks share a file, each goes without.
  explicit NodeFile(World* world);
  NodeFile(const NodeFile&) = delete;
  NodeFile& operator=(const NodeFile&) = delete;
  ~NodeFile();

  /// For a model that all ranks load at the same time; the file must live until they have.
  [[nodiscard]] NodeShare share() const { return share_; }

 private:
  NodeShare share_;
};

}  // namespace shoal::cluster
