// Panels of a packed weight matrix, 64 outputs each, and how a rank's workers share them.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/parallel.hpp"
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

  /// Calls body(panel, product) for all panels and rows on the rank's workers. A worker gets panels that follow each
  /// other, so that what it fetches ahead is its own. Where there are more workers than panels, several share one, each
  /// for some of the rows.
  /// @param x [rows, words] @param y [rows, outputs]
  template <class Body>
  void for_each(const std::uint32_t* data, const std::uint32_t* x, int rows, float* y, const Body& body) const {
    const auto workers = static_cast<std::size_t>(worker_threads());
    const std::size_t parts =
        std::max<std::size_t>(1, std::min(workers / count(), static_cast<std::size_t>(rows) / fewest_rows));
    const std::size_t tasks = count() * parts;
    const std::size_t share = (tasks + workers - 1) / workers;
    const std::size_t at_once = share <= longest_share ? share : (share + 7) / 8;
    const auto part_begin = [&](std::size_t part) {
      return static_cast<int>(static_cast<std::size_t>(rows) * part / parts);
    };
    parallel_for(
        tasks,
        [&](std::size_t task) {
          const std::size_t panel = task / parts, part = task % parts;
          const int begin = part_begin(part);
          body(panel, begin,
               PanelProduct{
                   .x = x + static_cast<std::ptrdiff_t>(begin) * words_,
                   .rows = part_begin(part + 1) - begin,
                   .words = words_,
                   .panel = data + panel * size(),
                   .outputs = outputs_of(panel),
                   .y = y + static_cast<std::ptrdiff_t>(begin) * outputs_ + static_cast<int>(panel) * panel_outputs,
                   .stride = outputs_});
        },
        at_once);
  }

 private:
  static constexpr std::size_t fewest_rows = 12;    ///< that are worth a pass over a panel of their own
  static constexpr std::size_t longest_share = 64;  ///< of panels, that is not dealt out bit by bit

  int outputs_;
  int words_;
};

}  // namespace shoal::lm::cpu
