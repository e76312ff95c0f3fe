// What queries share, on tables written out by hand.
#include "lm/cpu/attention_plan.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace shoal::lm::cpu {
namespace {

constexpr std::size_t row_bytes = 128;
constexpr std::size_t block_bytes = 2 * block_positions * row_bytes;

class AttentionPlanTest : public testing::Test {
 protected:
  /// @p blocks: a letter per block
  void add(const std::string& blocks, int positions, int first = 0) {
    for (const char c : blocks) tables_[count_].push_back(memory_.data() + std::size_t(c - 'A') * block_bytes);
    queries_.push_back({tables_[count_++].data(), first, positions});
  }
  [[nodiscard]] AttentionPlan plan(int together = attention_queries) const {
    return {queries_, together, {row_bytes, 2}};
  }
  /// "first query-last query:begin-end" of each segment
  static std::string segments(const AttentionGroup& group) {
    std::string text;
    for (int i = 0; i < group.segment_count; ++i) {
      const AttentionSegment& s = group.segments[i];
      text += std::to_string(s.query) + "-" + std::to_string(s.query + s.queries - 1) + ":" + std::to_string(s.begin) +
              "-" + std::to_string(s.end) + " ";
    }
    return text;
  }
  /// A letter per piece: upper case for keys, lower case for values.
  [[nodiscard]] std::string pieces(const AttentionGroup& group) const {
    std::string text;
    for (int i = 0; i < group.piece_count; ++i) {
      const auto at = static_cast<std::size_t>(group.pieces[i] - memory_.data());
      text += static_cast<char>((at % block_bytes < block_bytes / 2 ? 'A' : 'a') + at / block_bytes);
    }
    return text;
  }

 private:
  std::vector<std::byte> memory_ = std::vector<std::byte>(26 * block_bytes);
  std::vector<std::vector<const std::byte*>> tables_ = std::vector<std::vector<const std::byte*>>(20);
  std::size_t count_ = 0;
  std::vector<AttentionQuery> queries_;
};

TEST_F(AttentionPlanTest, QueriesShareTheBlocksThatTheyHaveInCommon) {
  add("ABC", 40);
  add("ABC", 48);
  add("ABD", 48);
  add("ABD", 48);

  EXPECT_EQ(segments(plan().groups().front()), "0-3:0-32 0-0:32-40 1-1:32-48 2-3:32-48 ");
}

TEST_F(AttentionPlanTest, HeadsOfOneRowShareItsLastBlockToo) {
  add("AB", 20);
  add("AB", 20);
  add("AC", 17);

  EXPECT_EQ(segments(plan().groups().front()), "0-2:0-16 0-1:16-20 2-2:16-17 ");
}

TEST_F(AttentionPlanTest, ASequenceMayEndWhereOthersGoOn) {
  add("A", 16);
  add("AB", 32);
  add("AB", 32);
  add("X", 3);

  EXPECT_EQ(segments(plan().groups().front()), "0-2:0-16 1-2:16-32 3-3:0-3 ");
}

TEST_F(AttentionPlanTest, SequencesThatShareNothingAreNeighboursAllTheSame) {
  add("A", 5);
  add("B", 5);

  EXPECT_EQ(segments(plan().groups().front()), "0-0:0-5 1-1:0-5 ");
}

TEST_F(AttentionPlanTest, AGroupBeginsInOneBlock) {
  add("ABC", 40, 15);
  add("ABC", 41, 16);
  add("ABC", 42, 17);

  const AttentionPlan found = plan();

  ASSERT_EQ(found.groups().size(), 2U);
  EXPECT_EQ(found.first_query(1), 1U);
  EXPECT_EQ(segments(found.groups()[0]), "0-0:0-40 ");
  EXPECT_EQ(segments(found.groups()[1]), "0-1:16-32 0-0:32-41 1-1:32-42 ");
}

TEST_F(AttentionPlanTest, GroupsHaveAsManyQueriesAsAsked) {
  for (int i = 0; i < 7; ++i) add("A", 16);

  EXPECT_EQ(plan(1).groups().size(), 7U);
  EXPECT_EQ(plan(3).groups().size(), 3U);
  EXPECT_EQ(plan(3).groups()[2].count, 1);
  EXPECT_EQ(plan(3).first_query(2), 6U);
}

TEST_F(AttentionPlanTest, OnlyWhatTheQueryBeforeDoesNotSeeIsFetched) {
  add("AB", 32);
  add("AC", 20);
  add("AC", 20);
  add("AD", 17);

  const AttentionPlan found = plan(2);

  const std::string block_a(16, 'A'), block_b(16, 'B'), values_a(16, 'a'), values_b(16, 'b');
  EXPECT_EQ(pieces(found.groups()[0]), block_a + block_b + "CCCC" + values_a + values_b + "cccc");
  EXPECT_EQ(pieces(found.groups()[1]), "DDdd");  // values may lie in pairs
}

}  // namespace
}  // namespace shoal::lm::cpu
