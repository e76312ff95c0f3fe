// PanelDivision: the pieces of a product that a rank's workers take one after the other. Pure data.
#pragma once

#include <cstddef>

namespace shoal::lm::cpu {

/// Panels that follow each other, of each [begin, end) of what it can be divided by.
struct PanelPiece {
  std::size_t panel;
  std::size_t panels;
  int begin;
  int end;
};

/// First every worker gets equally many whole panels, in pieces of panels that follow each other, so that what a worker
/// fetches ahead is its own. The panels that are left, fewer than workers, are divided into as many parts as make the
/// last rounds shortest. An early worker takes what a late one leaves.
class PanelDivision {
 public:
  /// @param extent what a panel can be divided by, 1 or more: rows, or tiles of outputs
  /// @param least of it that are worth a part of their own; in fewer than twice as many a panel stays whole
  PanelDivision(std::size_t panels, int extent, int least, std::size_t workers);

  [[nodiscard]] std::size_t pieces() const { return rounds_ * workers_ + divided_ * parts_; }
  [[nodiscard]] PanelPiece piece(std::size_t i) const;

 private:
  std::size_t extent_;
  std::size_t workers_;
  std::size_t share_;   ///< of a worker: panels that are not divided
  std::size_t rounds_;  ///< in which workers take theirs
  std::size_t divided_;
  std::size_t parts_;  ///< of each of these
};

}  // namespace shoal::lm::cpu
