// AttentionPlan: which rows of a forward pass read which blocks together. Pure data, made on the host at every step
// from the rows' tables; lm/cuda/kernels/attention.hpp carries it out.
#pragma once

#include <span>
#include <vector>

#include "lm/cuda/kernels/attention.hpp"
#include "lm/transformer.hpp"

namespace shoal::lm::cuda {

/// The items of all layers in which a token sees equally many positions.
struct AttentionItems {
  int sight = 0;
  std::vector<AttentionItem> items;
  std::vector<int> rows;  ///< of the items, one after the other
};

struct AttentionPlan {
  std::vector<int> table_begin;  ///< by row
  std::vector<BlockId> tables;   ///< blocks up to each row's position
  std::vector<int> slots;        ///< by row: partial results, one per window of the row from the sequence's start
  int slot_count = 0;
  std::vector<AttentionItems> by_sight;  ///< in the order of the sights given
};

/// Rows share an item of a window if they have the same block at its end. That they have the same ones before it as
/// well is how BlockPool and TransformerTree work: only the last block of a table is ever replaced.
class AttentionPlanner {
 public:
  /// @param sights distinct @param group query heads that share a key/value head
  AttentionPlanner(std::vector<int> sights, int group);
  /// @param blocks ids are below it
  [[nodiscard]] AttentionPlan plan(std::span<const TokenRow> rows, std::size_t blocks);
  /// How many of @p rows, from the first on, have at most @p slots windows together; at least one.
  [[nodiscard]] static std::size_t rows_that_fit(std::span<const TokenRow> rows, int slots);

 private:
  /// Of an item.
  [[nodiscard]] int most_rows_of(std::size_t rows) const;
  [[nodiscard]] AttentionItems group_rows(std::span<const TokenRow> rows, const AttentionPlan& plan, int sight);

  std::vector<int> sights_;
  int group_;
  std::vector<int> open_item_;    ///< by block: the item whose window ends with it, or -1
  std::vector<BlockId> touched_;  ///< entries of open_item_ that are not -1
};

}  // namespace shoal::lm::cuda
