// StepInputs: what a pass is told of its rows, on the GPU at addresses that stay, so that a recorded pass can be run
// again.
#pragma once

#include <span>
#include <vector>

#include "lm/cuda/attention_plan.hpp"
#include "lm/cuda/batch_sizes.hpp"
#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {

class StepInputs {
 public:
  /// @param sights the planner's
  explicit StepInputs(std::size_t sights);
  /// Fills in rows, padding up to @p padded, and starts the upload. The last one must have been waited for.
  /// @return whether addresses have changed
  bool set(std::span<const TokenRow> rows, int padded, const AttentionPlan& plan, BlockPool* pool,
           const Stream& stream);

  // All by row; padding has position -1.
  [[nodiscard]] const int* tokens() const { return ints_.device(); }
  [[nodiscard]] const int* positions() const { return ints_.device() + most_rows; }
  [[nodiscard]] const int* table_begin() const { return ints_.device() + 2 * most_rows; }
  [[nodiscard]] const int* slots() const { return ints_.device() + 3 * most_rows; }
  /// Rows that want logits, then rows of padding.
  [[nodiscard]] const int* logit_rows() const { return ints_.device() + 4 * most_rows; }
  [[nodiscard]] std::byte* const* tables() const { return tables_.device(); }
  /// Of the items of a sight.
  [[nodiscard]] const int* item_count(std::size_t sight) const { return ints_.device() + 5 * most_rows + sight; }
  [[nodiscard]] const AttentionItem* items(std::size_t sight) const { return items_[sight].device(); }
  [[nodiscard]] const int* item_rows(std::size_t sight) const { return item_rows_[sight].device(); }

 private:
  StepList<int> ints_;
  StepList<std::byte*> tables_;
  std::vector<StepList<AttentionItem>> items_;
  std::vector<StepList<int>> item_rows_;
};

}  // namespace shoal::lm::cuda
