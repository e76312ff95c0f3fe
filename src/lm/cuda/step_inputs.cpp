#include "lm/cuda/step_inputs.hpp"

namespace shoal::lm::cuda {
namespace {

constexpr auto row_room = static_cast<std::size_t>(most_rows);

template <class T>
bool set_list(std::span<const T> values, const Stream& stream, StepList<T>* list) {
  const bool moved = list->reserve(values.size());
  std::copy(values.begin(), values.end(), list->host(values.size()).begin());
  list->upload(values.size(), stream);
  return moved;
}

}  // namespace

StepInputs::StepInputs(std::size_t sights) : items_(sights), item_rows_(sights) {
  ints_.reserve(5 * row_room + sights);
}

bool StepInputs::set(std::span<const TokenRow> rows, int padded, const AttentionPlan& plan, BlockPool* pool,
                     const Stream& stream) {
  const std::size_t ints = 5 * row_room + items_.size();
  const auto in = ints_.host(ints);
  std::size_t wanted = 0;
  for (std::size_t r = 0; r < static_cast<std::size_t>(padded); ++r) {
    const bool real = r < rows.size();
    in[r] = real ? rows[r].token.value() : 0;
    in[row_room + r] = real ? rows[r].position : -1;
    in[2 * row_room + r] = real ? plan.table_begin[r] : 0;
    in[3 * row_room + r] = real ? plan.slots[r] : 0;
    if (!real || rows[r].logits == Logits::yes) in[4 * row_room + wanted++] = static_cast<int>(r);
  }
  while (wanted < static_cast<std::size_t>(padded)) in[4 * row_room + wanted++] = 0;
  for (std::size_t s = 0; s < items_.size(); ++s)
    in[5 * row_room + s] = static_cast<int>(plan.by_sight[s].items.size());
  ints_.upload(ints, stream);

  std::vector<std::byte*> addresses;
  addresses.reserve(plan.tables.size());
  for (const BlockId block : plan.tables) addresses.push_back(pool->data(block));
  bool moved = set_list(std::span<std::byte* const>(addresses), stream, &tables_);
  for (std::size_t s = 0; s < items_.size(); ++s) {
    moved = set_list(std::span<const AttentionItem>(plan.by_sight[s].items), stream, &items_[s]) || moved;
    moved = set_list(std::span<const int>(plan.by_sight[s].rows), stream, &item_rows_[s]) || moved;
  }
  return moved;
}

}  // namespace shoal::lm::cuda
