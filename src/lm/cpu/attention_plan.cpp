#include "lm/cpu/attention_plan.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace shoal::lm::cpu {
namespace {

int begin_of(const AttentionQuery& query) { return query.first / block_positions * block_positions; }

/// Whether both see the block at @p position, and equally much of it.
bool share(const AttentionQuery& a, const AttentionQuery& b, int position) {
  return position < std::min(a.positions, b.positions) &&
         a.blocks[position / block_positions] == b.blocks[position / block_positions] &&
         std::min(a.positions, position + block_positions) == std::min(b.positions, position + block_positions);
}

/// The first query after @p query that does not share the block at @p position with it.
int end_of_sharing(const AttentionQuery* queries, int query, int end_query, int position) {
  int end = query + 1;
  while (end < end_query && share(queries[query], queries[end], position)) ++end;
  return end;
}

/// What the queries [@p query, @p end_query) share from @p begin on, and then what some of them do.
void add_segments(int query, int end_query, int begin, AttentionGroup* group) {
  const AttentionQuery* const queries = group->queries;
  const int positions = queries[query].positions;
  int end = begin;
  while (end < positions && end_of_sharing(queries, query, end_query, end) == end_query) end += block_positions;
  if (end > begin)
    group->segments[group->segment_count++] = {query, end_query - query, begin, std::min(end, positions)};
  while (query < end_query) {
    const int next = end_of_sharing(queries, query, end_query, end);
    if (end < queries[query].positions) add_segments(query, next, end, group);
    query = next;
  }
}

}  // namespace

AttentionPlan::AttentionPlan(std::span<const AttentionQuery> queries, int together, const HeadLayout& layout) {
  SHOAL_EXPECT(together >= 1 && together <= attention_queries);
  std::vector<std::size_t> pieces_begin;
  for (std::size_t i = 0; i < queries.size();) {
    AttentionGroup& group = groups_.emplace_back();
    first_query_.push_back(i);
    pieces_begin.push_back(pieces_.size());
    const int begin = begin_of(queries[i]);
    for (; i < queries.size() && group.count < together && begin_of(queries[i]) == begin; ++i)
      group.queries[group.count++] = queries[i];
    add_segments(0, group.count, begin, &group);
    for (const Part part : {Part::keys, Part::values})  // as they are used
      for (std::size_t q = first_query_.back(); q < i; ++q)
        add_pieces(queries[q], q > 0 ? &queries[q - 1] : nullptr, layout, part);
  }
  pieces_begin.push_back(pieces_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].pieces = pieces_.data() + pieces_begin[g];
    groups_[g].piece_count = static_cast<int>(pieces_begin[g + 1] - pieces_begin[g]);
  }
}

/// The keys with all scales, or the values, that @p before does not see.
void AttentionPlan::add_pieces(const AttentionQuery& query, const AttentionQuery* before, const HeadLayout& layout,
                               Part part) {
  int position = begin_of(query);
  if (before != nullptr && begin_of(*before) == position)
    while (share(query, *before, position)) position += block_positions;
  for (; position < query.positions; position += block_positions) {
    const std::byte* const head = query.blocks[position / block_positions];
    const int rows = std::min(block_positions, query.positions - position);
    const int read = (rows + layout.together - 1) / layout.together * layout.together;
    const std::size_t bytes = static_cast<std::size_t>(read) * layout.row_bytes;
    const std::size_t begin = part == Part::keys ? 0 : layout.values();
    const std::size_t end = (part == Part::keys ? layout.keys : layout.values()) + bytes;
    for (std::size_t at = begin; at < end; at += fetched_at_once) pieces_.push_back(head + at);
  }
}

}  // namespace shoal::lm::cpu
