// Panels of a packed weight matrix, 64 outputs each, and how a rank's workers share them.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/parallel.hpp"
#include "lm/cpu/panel_division.hpp"
#include "lm/cpu/panel_product.hpp"

namespace shoal::lm::cpu {

class Panels {
 public:
  /// @param words of an output's inputs
  Panels(int outputs, int words) : outputs_(outputs), words_(words) {}

  [[nodiscard]] std::size_t count() const {
    return (static_cast<std::size_t>(outputs_) + panel_outputs - 1) / panel_outputs;
  }
  /// Words of one panel; those of outputs beyond the last are there, too.
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(words_) * panel_outputs; }
  [[nodiscard]] int outputs_of(std::size_t panel) const {
    return std::min(panel_outputs, outputs_ - static_cast<int>(panel) * panel_outputs);
  }

  /// Calls body(first row, first output, product) on the rank's workers until all panels and rows are done.
  /// @param x [rows, words] @param y [rows, outputs]
  template <class Body>
  void for_each(const std::uint32_t* data, const std::uint32_t* x, int rows, float* y, PanelParts parts,
                const Body& body) const {
    const bool by_rows = parts == PanelParts::rows;
    const PanelDivision division(count(), by_rows ? rows : output_parts, by_rows ? fewest_rows : 1,
                                 static_cast<std::size_t>(worker_threads()));
    parallel_for(division.pieces(), [&](std::size_t i) {
      const PanelPiece piece = division.piece(i);
      for (std::size_t panel = piece.panel; panel < piece.panel + piece.panels; ++panel) {
        const Block block = by_rows ? Block{piece.begin, piece.end, 0, outputs_of(panel)}
                                    : Block{0, rows, piece.begin * outputs_of_part,
                                            std::min(piece.end * outputs_of_part, outputs_of(panel))};
        if (block.output < block.end_output)
          body(block.row, first_output(panel) + block.output, at(panel, block, data, x, y));
      }
    });
  }

 private:
  static constexpr int fewest_rows = 12;  ///< that are worth a pass over a panel of their own
  static constexpr int outputs_of_part = 16;
  static constexpr int output_parts = panel_outputs / outputs_of_part;

  /// Rows and outputs of a panel.
  struct Block {
    int row, end_row;
    int output, end_output;
  };

  [[nodiscard]] static int first_output(std::size_t panel) { return static_cast<int>(panel) * panel_outputs; }
  [[nodiscard]] PanelProduct at(std::size_t panel, const Block& block, const std::uint32_t* data,
                                const std::uint32_t* x, float* y) const {
    return {.x = x + static_cast<std::ptrdiff_t>(block.row) * words_,
            .rows = block.end_row - block.row,
            .words = words_,
            .panel = data + panel * size() + block.output,
            .outputs = block.end_output - block.output,
            .y = y + static_cast<std::ptrdiff_t>(block.row) * outputs_ + first_output(panel) + block.output,
            .stride = outputs_};
  }

  int outputs_;
  int words_;
};

}  // namespace shoal::lm::cpu
