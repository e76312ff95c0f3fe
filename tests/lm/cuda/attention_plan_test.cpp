#include "lm/cuda/attention_plan.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace shoal::lm::cuda {
namespace {

/// Tables of sequences that fork from one another, as a tree of contexts makes them.
class Tables {
 public:
  explicit Tables(std::uint64_t seed) : generator_(seed) { grow({}, 0, 0); }

  [[nodiscard]] std::vector<TokenRow> rows() const {
    std::vector<TokenRow> rows;
    for (std::size_t i = 0; i < tables_.size(); ++i) rows.push_back({TokenId{1}, positions_[i], tables_[i]});
    return rows;
  }
  [[nodiscard]] std::size_t blocks() const { return next_; }

 private:
  void grow(std::vector<BlockId> table, int position, int depth) {
    const int more = 1 + static_cast<int>(generator_() % 200);
    for (int i = 0; i < more; ++i, ++position)
      if (position % block_positions == 0) table.emplace_back(next_++);
    tables_.push_back(table);
    positions_.push_back(position - 1);
    if (depth == 5) return;
    for (int child = 0; child < 2; ++child) {
      std::vector<BlockId> copy = table;
      if (position % block_positions != 0) copy.back() = BlockId{next_++};  // a half-filled block is copied
      grow(copy, position, depth + 1);
    }
  }
  std::mt19937_64 generator_;
  std::uint32_t next_ = 0;
  std::vector<std::vector<BlockId>> tables_;
  std::vector<int> positions_;
};

void expect_complete(std::span<const TokenRow> rows, const AttentionPlan& plan, const AttentionItems& found, int cap) {
  constexpr int blocks = window_positions / block_positions;
  std::set<std::pair<int, int>> seen;
  for (const AttentionItem& item : found.items) {
    EXPECT_GE(item.rows, 1);
    EXPECT_LE(item.rows, cap);
    for (int i = 0; i < item.rows; ++i) {
      const int r = found.rows[static_cast<std::size_t>(item.first + i)];
      const TokenRow& row = rows[static_cast<std::size_t>(r)];
      EXPECT_TRUE(seen.emplace(r, item.window).second);
      EXPECT_LE(row.position + 1, item.end);
      for (int b = item.window * blocks; b < std::min((item.window + 1) * blocks, row.position / 16 + 1); ++b)
        EXPECT_EQ(row.table[static_cast<std::size_t>(b)], plan.tables[static_cast<std::size_t>(item.table + b)]);
    }
  }
  std::size_t expected = 0;
  for (const TokenRow& row : rows)
    for (int w = 0; w <= row.position / window_positions; ++w)
      if ((w + 1) * window_positions > row.position + 1 - found.sight) ++expected;
  EXPECT_EQ(seen.size(), expected);
}

TEST(AttentionPlan, GivesEveryRowItsWindowsInItemsOfEqualBlocks) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Tables tables(seed);
    const auto rows = tables.rows();
    AttentionPlanner planner({100000, 300, 7}, 4);

    for (int again = 0; again < 2; ++again) {  // what a planner keeps does not matter
      const AttentionPlan plan = planner.plan(rows, tables.blocks());

      ASSERT_EQ(plan.by_sight.size(), 3U);
      for (const AttentionItems& found : plan.by_sight) expect_complete(rows, plan, found, 32);
    }
  }
}

TEST(AttentionPlan, ASharedPrefixIsOneItemUpToTheLimit) {
  std::vector<std::vector<BlockId>> tables(40);
  for (std::uint32_t r = 0; r < 40; ++r) {
    for (std::uint32_t b = 0; b < 16; ++b) tables[r].emplace_back(b);
    tables[r].emplace_back(16 + r);
  }
  std::vector<TokenRow> rows;
  for (const auto& table : tables) rows.push_back({TokenId{1}, 260, table});
  AttentionPlanner planner({100000}, 8);

  const auto found = planner.plan(rows, 60).by_sight[0];

  std::map<int, int> items;  // by window
  for (const AttentionItem& item : found.items) ++items[item.window];
  EXPECT_EQ(items, (std::map{std::pair{0, 20}, {1, 20}, {2, 20}, {3, 20}, {4, 40}}));  // 2 rows of 8 heads; their own
}

TEST(AttentionPlan, ManyRowsShareLargerItems) {
  const std::vector<BlockId> table{BlockId{0}};
  const std::vector<TokenRow> rows(1000, {TokenId{1}, 3, table});
  for (const auto& [group, items] : {std::pair{1, 63}, {4, 84}, {32, 250}})
    EXPECT_EQ(AttentionPlanner({64}, group).plan(rows, 1).by_sight[0].items.size(), static_cast<std::size_t>(items));
}

TEST(AttentionPlan, OfNoRowsIsEmpty) {
  AttentionPlanner planner({16}, 1);

  const AttentionPlan plan = planner.plan({}, 0);

  EXPECT_EQ(plan.slot_count, 0);
  EXPECT_TRUE(plan.by_sight[0].items.empty());
}

TEST(AttentionPlan, CutsRowsWhereTheirWindowsAreTooMany) {
  const std::vector<BlockId> table(100);
  std::vector<TokenRow> rows;
  for (const int position : {63, 64, 0, 1500}) rows.push_back({TokenId{1}, position, table});

  EXPECT_EQ(AttentionPlanner::rows_that_fit(rows, 4), 3U);
  EXPECT_EQ(AttentionPlanner::rows_that_fit(rows, 100), 4U);
  EXPECT_EQ(AttentionPlanner::rows_that_fit(std::span(rows).subspan(3), 2), 1U);
}

}  // namespace
}  // namespace shoal::lm::cuda
