// How a product is divided among workers: every part once, and the work in nearly equal shares.
#include "lm/cpu/panel_division.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <queue>
#include <vector>

namespace shoal::lm::cpu {
namespace {

/// The pieces' greatest sum on any of @p workers that take one after the other, in panels times extent.
std::size_t time_of(const PanelDivision& division, std::size_t workers) {
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ends(std::greater<>(),
                                                                                  std::vector<std::size_t>(workers, 0));
  std::size_t last = 0;
  for (std::size_t i = 0; i < division.pieces(); ++i) {
    const PanelPiece piece = division.piece(i);
    const std::size_t end = ends.top() + piece.panels * static_cast<std::size_t>(piece.end - piece.begin);
    last = std::max(last, end);
    ends.pop();
    ends.push(end);
  }
  return last;
}

double efficiency(std::size_t panels, int extent, int least, std::size_t workers) {
  return static_cast<double>(panels) * extent / static_cast<double>(workers) /
         static_cast<double>(time_of(PanelDivision(panels, extent, least, workers), workers));
}

/// Panels of 64 outputs of models of 0.5, 1.1, 1.5 and 8 billion parameters; of keys and values, attention's output,
/// up and down, and head.
constexpr std::size_t panels_of_models[] = {18, 14, 152, 2374, 40, 32, 176, 500, 24, 280, 96, 64, 448, 2004};

TEST(PanelDivision, HasEveryPartOnce) {
  for (const std::size_t panels : {1U, 2U, 7U, 16U, 152U, 2374U})
    for (const int extent : {1, 4, 11, 12, 24, 100, 256})
      for (const std::size_t workers : {1U, 2U, 3U, 12U, 16U, 64U, 256U})
        for (const int least : {1, 8, 12}) {
          const PanelDivision division(panels, extent, least, workers);
          std::vector<int> count(panels * static_cast<std::size_t>(extent), 0);
          for (std::size_t i = 0; i < division.pieces(); ++i) {
            const PanelPiece piece = division.piece(i);
            ASSERT_TRUE(piece.end - piece.begin >= std::min(least, extent) && piece.panels >= 1)
                << panels << " panels, " << extent << " rows, " << workers << " workers";
            for (std::size_t panel = piece.panel; panel < piece.panel + piece.panels; ++panel)
              for (int row = piece.begin; row < piece.end; ++row)
                ++count.at(panel * static_cast<std::size_t>(extent) + static_cast<std::size_t>(row));
          }
          ASSERT_EQ(std::count(count.begin(), count.end(), 1), static_cast<std::ptrdiff_t>(count.size()))
              << panels << " panels, " << extent << " rows, " << workers << " workers";
        }
}

TEST(PanelDivision, LeavesPanelsWholeWhereTheyAreAsManyAsWorkersTake) {
  const PanelDivision division(12, 100, 12, 4);

  ASSERT_EQ(division.pieces(), 4U);
  const PanelPiece last = division.piece(3);
  EXPECT_EQ(last.panel, 9U);
  EXPECT_EQ(last.panels, 3U);
  EXPECT_EQ(last.end - last.begin, 100);
}

TEST(PanelDivision, DividesTheLastPanelsAmongAllWorkers) {
  const PanelDivision division(16, 100, 12, 12);  // 12 whole panels, then 4 in 3 parts each

  EXPECT_EQ(division.pieces(), 24U);
  EXPECT_EQ(time_of(division, 12), 134U);
}

TEST(PanelDivision, KeepsWorkersBusy) {
  const auto worst = [](std::size_t first, std::size_t last, int rows) {
    double least = 1.0;
    for (const std::size_t panels : panels_of_models)
      for (std::size_t workers = first; workers <= last; ++workers)
        least = std::min(least, efficiency(panels, rows, 12, workers));
    return least;
  };
  EXPECT_GT(worst(1, 16, 100), 0.92);
  EXPECT_GT(worst(17, 64, 100), 0.84);
  EXPECT_GT(worst(65, 96, 100), 0.80);
  EXPECT_GT(worst(1, 16, 256), 0.97);
  EXPECT_GT(worst(17, 64, 256), 0.90);
  EXPECT_GT(worst(65, 256, 256), 0.85);
}

}  // namespace
}  // namespace shoal::lm::cpu
