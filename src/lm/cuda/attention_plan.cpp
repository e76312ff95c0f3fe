#include "lm/cuda/attention_plan.hpp"

#include <algorithm>

namespace shoal::lm::cuda {
namespace {

/// Query heads times rows of an item: what it gains by being read once, against how evenly items can be dealt out.
constexpr int most_tile_rows = 128;
/// Into so many items at least a window is cut that all rows share, if there are rows enough.
constexpr int items_of_a_window = 64;
constexpr int window_blocks = window_positions / block_positions;

int windows_of(const TokenRow& row) { return row.position / window_positions + 1; }

struct Membership {
  int item;
  int row;
};

/// Lays the rows of every item one after the other.
void lay_out_rows(std::span<const Membership> memberships, AttentionItems* out) {
  int first = 0;
  for (AttentionItem& item : out->items) {
    item.first = first;
    first += item.rows;
    item.rows = 0;
  }
  out->rows.resize(memberships.size());
  for (const Membership& m : memberships) {
    AttentionItem& item = out->items[static_cast<std::size_t>(m.item)];
    out->rows[static_cast<std::size_t>(item.first + item.rows++)] = m.row;
  }
}

}  // namespace

AttentionPlanner::AttentionPlanner(std::vector<int> sights, int group) : sights_(std::move(sights)), group_(group) {}

int AttentionPlanner::most_rows_of(std::size_t rows) const {
  const int even = static_cast<int>(rows) * group_ / items_of_a_window / tile_rows * tile_rows;
  return std::max(1, std::clamp(even, tile_rows, most_tile_rows) / group_);
}

std::size_t AttentionPlanner::rows_that_fit(std::span<const TokenRow> rows, int slots) {
  std::size_t fit = 0;
  for (; fit < rows.size(); ++fit) {
    slots -= windows_of(rows[fit]);
    if (slots < 0) break;
  }
  return std::max<std::size_t>(1, fit);
}

AttentionPlan AttentionPlanner::plan(std::span<const TokenRow> rows, std::size_t blocks) {
  open_item_.resize(std::max(open_item_.size(), blocks), -1);
  AttentionPlan plan;
  for (const TokenRow& row : rows) {
    plan.table_begin.push_back(static_cast<int>(plan.tables.size()));
    plan.slots.push_back(plan.slot_count);
    plan.slot_count += windows_of(row);
    const auto used = row.table.first(static_cast<std::size_t>(row.position / block_positions + 1));
    plan.tables.insert(plan.tables.end(), used.begin(), used.end());
  }
  for (const int sight : sights_) plan.by_sight.push_back(group_rows(rows, plan, sight));
  return plan;
}

AttentionItems AttentionPlanner::group_rows(std::span<const TokenRow> rows, const AttentionPlan& plan, int sight) {
  AttentionItems out;
  out.sight = sight;
  const int most_rows = most_rows_of(rows.size());
  std::vector<Membership> memberships;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const int end = rows[r].position + 1;
    for (int w = std::max(0, end - sight) / window_positions; w * window_positions < end; ++w) {
      const int last = std::min((w + 1) * window_blocks - 1, rows[r].position / block_positions);
      const BlockId block = rows[r].table[static_cast<std::size_t>(last)];
      int& open = open_item_[block.value()];
      if (open < 0) touched_.push_back(block);
      if (open < 0 || out.items[static_cast<std::size_t>(open)].rows == most_rows) {
        open = static_cast<int>(out.items.size());
        out.items.push_back({w, 0, 0, plan.table_begin[r], end});
      }
      AttentionItem& item = out.items[static_cast<std::size_t>(open)];
      ++item.rows;
      if (end > item.end) item.table = plan.table_begin[r], item.end = end;
      memberships.push_back({open, static_cast<int>(r)});
    }
  }
  for (const BlockId block : touched_) open_item_[block.value()] = -1;
  touched_.clear();
  lay_out_rows(memberships, &out);
  return out;
}

}  // namespace shoal::lm::cuda
