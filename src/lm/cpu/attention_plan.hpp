// AttentionPlan: which queries of a forward pass are computed together, and which blocks they share. Pure data, the
// same for all heads of a layer; Kernels::attend carries it out.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "lm/cpu/kernels.hpp"

namespace shoal::lm::cpu {

class AttentionPlan {
 public:
  /// @param queries of one key/value head, in an order in which those that share blocks are neighbours
  /// @param together queries of a group, from 1 to attention_queries
  /// @param layout of the head's keys and values
  AttentionPlan(std::span<const AttentionQuery> queries, int together, const HeadLayout& layout);
  AttentionPlan(const AttentionPlan&) = delete;
  AttentionPlan(AttentionPlan&&) = default;
  AttentionPlan& operator=(const AttentionPlan&) = delete;
  AttentionPlan& operator=(AttentionPlan&&) = default;
  ~AttentionPlan() = default;

  /// Each holds queries that follow each other, in the order given.
  [[nodiscard]] const std::vector<AttentionGroup>& groups() const { return groups_; }
  /// The place of a group's first query among those given.
  [[nodiscard]] std::size_t first_query(std::size_t group) const { return first_query_[group]; }

 private:
  enum class Part { keys, values };
  void add_pieces(const AttentionQuery& query, const AttentionQuery* before, const HeadLayout& layout, Part part);

  std::vector<AttentionGroup> groups_;
  std::vector<std::size_t> first_query_;
  std::vector<const std::byte*> pieces_;  ///< of all groups
};

}  // namespace shoal::lm::cpu
