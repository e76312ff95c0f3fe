#include "lm/transformer_tree.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <utility>

#include "base/assert.hpp"
#include "lm/context_memory.hpp"
#include "lm/cpu/kernels.hpp"

namespace shoal::lm {
namespace {

using cpu::block_positions;

std::size_t blocks_of(int positions) {
  return static_cast<std::size_t>((positions + block_positions - 1) / block_positions);
}

/// Stands where a block was that no token will see again: any block that is there.
constexpr BlockId passed_block{0};

}  // namespace

TransformerTree::TransformerTree(const Transformer& transformer, std::span<const TokenId> prompt, bool can_sample,
                                 std::size_t most_blocks)
    : transformer_(transformer),
      pool_(transformer.block_bytes(), transformer.block_memory(most_blocks * transformer.block_bytes())),
      prompt_size_(prompt.size()),
      sight_(transformer.config().widest_window()),
      can_sample_(can_sample) {
  SHOAL_EXPECT(!prompt.empty());
  root_ = nodes_.insert({prompt.begin(), prompt.end()}, {});
  while (nodes_.at(root_).payload.computed < static_cast<int>(prompt.size())) compute_next({&root_, 1});
}

TransformerTree::KeyValues TransformerTree::share(const KeyValues& from) {
  for (std::size_t i = from.passed; i < from.table.size(); ++i) pool_.retain(from.table[i]);
  return from;
}

ContextId TransformerTree::extend(ContextId parent, TokenId token) {
  return nodes_.extend(parent, token, [&](const Nodes::Node& from) { return share(from.payload); });
}

void TransformerTree::release(ContextId context) {
  if (const auto dead = nodes_.release(context))
    for (std::size_t i = dead->passed; i < dead->table.size(); ++i) pool_.release(dead->table[i]);
}

/// Blocks that neither the last of @p computed positions sees, which may be computed again, nor any after it.
std::size_t TransformerTree::passed_by(int computed) const {
  return static_cast<std::size_t>(std::max(0, computed - sight_) / released_together) *
         (released_together / block_positions);
}

void TransformerTree::release_passed(KeyValues* kv, std::size_t passed) {
  for (; kv->passed < passed; ++kv->passed) pool_.release(std::exchange(kv->table[kv->passed], passed_block));
}

void TransformerTree::release_passed(ContextId context) {
  KeyValues& kv = nodes_.at(context).payload;
  release_passed(&kv, passed_by(kv.computed));
}

void TransformerTree::make_room(KeyValues* kv, int position) {
  if (position % block_positions == 0) kv->table.push_back(pool_.allocate());
  kv->table.back() = pool_.claim(kv->table.back(), position % block_positions);
}

/// Positions that may be computed before more passed blocks are released. A context that grows token by token holds as
/// many.
int TransformerTree::reach(const KeyValues& kv) const {
  const auto passed = static_cast<std::int64_t>(kv.passed) * block_positions;
  return static_cast<int>(std::min<std::int64_t>(passed + sight_ + released_together, std::numeric_limits<int>::max()));
}

/// Rows for all positions not computed yet that are in reach; at least the last one.
void TransformerTree::add_rows(Nodes::Node* node, Logits last, std::vector<TokenRow>* rows) {
  KeyValues& kv = node->payload;
  const auto size = static_cast<int>(node->tokens.size());
  const int end = std::min(size, reach(kv)), first = std::min(kv.computed, size - 1);
  for (int p = kv.computed; p < end; ++p) make_room(&kv, p);
  for (int p = first; p < end; ++p)
    rows->push_back({node->tokens[static_cast<std::size_t>(p)], p, kv.table, p + 1 == size ? last : Logits::no});
  kv.computed = end;
}

void TransformerTree::compute_next(std::span<const ContextId> contexts) {
  std::vector<TokenRow> rows;
  for (const ContextId context : contexts) add_rows(&nodes_.at(context), Logits::no, &rows);
  transformer_.forward(rows, &pool_, &buffers_, {});
  for (const ContextId context : contexts) release_passed(context);
}

/// Computes the beginnings of contexts that are not within reach.
void TransformerTree::bring_within_reach(std::span<const ContextId> contexts) {
  const auto is_far = [&](ContextId context) {
    const Nodes::Node& node = nodes_.at(context);
    return static_cast<int>(node.tokens.size()) > reach(node.payload);
  };
  std::vector<ContextId> far;
  std::copy_if(contexts.begin(), contexts.end(), std::back_inserter(far), is_far);
  while (!far.empty()) {
    compute_next(far);
    std::erase_if(far, std::not_fn(is_far));
  }
}

void TransformerTree::forward(std::span<const ContextId> contexts, std::span<float> logits) {
  bring_within_reach(contexts);
  std::vector<TokenRow> rows;
  rows.reserve(contexts.size());
  for (const ContextId context : contexts) add_rows(&nodes_.at(context), Logits::yes, &rows);
  transformer_.forward(rows, &pool_, &buffers_, logits);
  for (const ContextId context : contexts) release_passed(context);
}

void TransformerTree::start_sampling(const Sampling& how, std::span<ContextDraws> draws) {
  std::vector<ContextId> contexts;
  for (const ContextDraws& one : draws) contexts.push_back(one.context);
  bring_within_reach(contexts);
  std::vector<TokenRow> rows;
  rows.reserve(draws.size());
  for (const ContextId context : contexts) add_rows(&nodes_.at(context), Logits::yes, &rows);
  transformer_.start_sampling(rows, &pool_, how, draws);
  for (const ContextId context : contexts) release_passed(context);
}

/// What some live context has computed of @p tokens.
TransformerTree::KeyValues TransformerTree::share_beginning(std::span<const TokenId> tokens) {
  const KeyValues* from = nullptr;
  std::size_t most = 0;
  nodes_.for_each([&](const Nodes::Node& node) {
    const std::size_t limit = std::min(static_cast<std::size_t>(node.payload.computed), tokens.size());
    if (limit <= most) return;
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(std::min(prompt_size_, limit));  // equal before it
    const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(limit);
    const auto parting =
        std::mismatch(begin, end, node.tokens.begin() + static_cast<std::ptrdiff_t>(begin - tokens.begin())).first;
    const auto equal = static_cast<std::size_t>(parting - tokens.begin());
    if (equal <= most || node.payload.passed > passed_by(static_cast<int>(equal))) return;
    most = equal;
    from = &node.payload;
  });
  KeyValues kv;
  kv.computed = static_cast<int>(most);
  if (from != nullptr) {
    kv.table.assign(from->table.begin(), from->table.begin() + static_cast<std::ptrdiff_t>(blocks_of(kv.computed)));
    kv.passed = from->passed;
  }
  return share(kv);
}

/// For the first @p computed positions, but for whole blocks that @p kv has, and for those that no token will see.
void TransformerTree::make_room_from_elsewhere(KeyValues* kv, int computed) {
  const auto whole = static_cast<std::size_t>(kv->computed / block_positions);
  for (; kv->table.size() > whole; kv->table.pop_back()) pool_.release(kv->table.back());
  const std::size_t passed = passed_by(computed);
  release_passed(kv, std::min(passed, whole));
  if (passed > whole) {
    kv->table.resize(passed, passed_block);
    kv->passed = passed;
  }
  while (kv->table.size() < blocks_of(computed)) {
    kv->table.push_back(pool_.allocate());
    const int begin = static_cast<int>(kv->table.size() - 1) * block_positions;
    pool_.set_claimed(kv->table.back(), std::min(block_positions, computed - begin));
  }
  kv->computed = computed;
}

std::uint32_t TransformerTree::computed(ContextId context) const {
  return static_cast<std::uint32_t>(nodes_.at(context).payload.computed);
}

ExpectedContext TransformerTree::expect(std::span<const TokenId> tokens, std::uint32_t computed) {
  std::vector<TokenId> all = nodes_.at(root_).tokens;
  all.insert(all.end(), tokens.begin(), tokens.end());
  if (const auto known = nodes_.find(all)) return {.context = *known};
  KeyValues kv = share_beginning(all);
  ExpectedContext expected;
  if (kv.computed < static_cast<int>(computed)) {
    const auto whole = static_cast<std::size_t>(kv.computed / block_positions);
    expected.first_block = static_cast<std::uint32_t>(std::max(whole, passed_by(static_cast<int>(computed))));
    make_room_from_elsewhere(&kv, static_cast<int>(computed));
    expected.bytes = (kv.table.size() - expected.first_block) * pool_.block_bytes();
  }
  expected.context = nodes_.insert(std::move(all), std::move(kv));
  return expected;
}

std::string TransformerTree::pack(ContextId context, std::uint32_t first_block, std::uint32_t computed) const {
  const KeyValues& kv = nodes_.at(context).payload;
  const std::size_t end = blocks_of(static_cast<int>(computed));
  std::string packed((end - first_block) * pool_.block_bytes(), '\0');
  auto rest = std::as_writable_bytes(std::span(packed));
  for (std::size_t i = first_block; i < end; ++i, rest = rest.subspan(pool_.block_bytes()))
    pool_.read(kv.table[i], rest.first(pool_.block_bytes()));
  return packed;
}

void TransformerTree::unpack(const ExpectedContext& expected, std::string_view packed) {
  if (expected.bytes == 0) return;
  SHOAL_EXPECT(packed.size() == expected.bytes);
  const KeyValues& kv = nodes_.at(expected.context).payload;
  for (std::size_t i = expected.first_block; !packed.empty(); ++i, packed.remove_prefix(pool_.block_bytes()))
    pool_.write(std::as_bytes(std::span(packed.substr(0, pool_.block_bytes()))), kv.table[i]);
}

std::vector<std::span<std::byte>> TransformerTree::blocks(ContextId context, std::uint32_t first_block,
                                                          std::uint32_t computed) {
  pool_.settle();
  std::vector<std::span<std::byte>> found;
  const std::vector<BlockId>& table = nodes_.at(context).payload.table;
  for (std::size_t i = first_block; i < blocks_of(static_cast<int>(computed)); ++i)
    found.emplace_back(pool_.data(table[i]), pool_.block_bytes());
  return found;
}

}  // namespace shoal::lm
