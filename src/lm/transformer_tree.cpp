#include "lm/transformer_tree.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "lm/cpu/kernels.hpp"

namespace shoal::lm {
namespace {

using cpu::block_positions;

std::size_t blocks_of(int positions) {
  return static_cast<std::size_t>((positions + block_positions - 1) / block_positions);
}

}  // namespace

TransformerTree::TransformerTree(const Transformer& transformer, std::span<const TokenId> prompt, bool can_sample)
    : transformer_(transformer),
      pool_(transformer.block_bytes(), transformer.block_memory()),
      prompt_size_(prompt.size()), can_sample_(can_sample) {
  SHOAL_EXPECT(!prompt.empty());
  root_ = nodes_.insert({prompt.begin(), prompt.end()}, {});
  std::vector<TokenRow> rows;
  add_rows(&nodes_.at(root_), Logits::no, &rows);
  transformer_.forward(rows, &pool_, &buffers_, {});
}

TransformerTree::KeyValues TransformerTree::share(const KeyValues& from) {
  for (const BlockId block : from.table) pool_.retain(block);
  return from;
}

ContextId TransformerTree::extend(ContextId parent, TokenId token) {
  return nodes_.extend(parent, token, [&](const Nodes::Node& from) { return share(from.payload); });
}

void TransformerTree::release(ContextId context) {
  if (const auto dead = nodes_.release(context))
    for (const BlockId block : dead->table) pool_.release(block);
}

void TransformerTree::make_room(KeyValues* kv, int position) {
  if (position % block_positions == 0) kv->table.push_back(pool_.allocate());
  kv->table.back() = pool_.claim(kv->table.back(), position % block_positions);
}

/// Rows for all positions not computed yet; at least the last one.
void TransformerTree::add_rows(Nodes::Node* node, Logits last, std::vector<TokenRow>* rows) {
  KeyValues& kv = node->payload;
  const auto size = static_cast<int>(node->tokens.size());
  const int first = std::min(kv.computed, size - 1);
  for (int p = kv.computed; p < size; ++p) make_room(&kv, p);
  for (int p = first; p < size; ++p)
    rows->push_back({node->tokens[static_cast<std::size_t>(p)], p, kv.table, p + 1 == size ? last : Logits::no});
  kv.computed = size;
}

void TransformerTree::forward(std::span<const ContextId> contexts, std::span<float> logits) {
  std::vector<TokenRow> rows;
  rows.reserve(contexts.size());
  for (const ContextId context : contexts) add_rows(&nodes_.at(context), Logits::yes, &rows);
  transformer_.forward(rows, &pool_, &buffers_, logits);
}

void TransformerTree::sample(const Sampling& how, std::span<ContextDraws> draws) {
  std::vector<TokenRow> rows;
  rows.reserve(draws.size());
  for (const ContextDraws& one : draws) add_rows(&nodes_.at(one.context), Logits::yes, &rows);
  transformer_.sample(rows, &pool_, how, draws);
}

std::string TransformerTree::pack(ContextId context) const {
  const Nodes::Node& node = nodes_.at(context);
  ByteWriter out;
  out.put_span(std::span<const TokenId>(node.tokens).subspan(prompt_size_));
  out.put(node.payload.computed);
  std::string block(pool_.block_bytes(), '\0');
  for (std::size_t i = prompt_size_ / block_positions; i < node.payload.table.size(); ++i) {
    pool_.read(node.payload.table[i], std::as_writable_bytes(std::span(block)));
    out.put_string(block);
  }
  return out.take();
}

ContextId TransformerTree::unpack(std::string_view packed) {
  ByteReader in(packed);
  const auto tail = in.get_vector<TokenId>();
  const int computed = in.get<int>();
  std::vector<TokenId> tokens = nodes_.at(root_).tokens;
  tokens.insert(tokens.end(), tail.begin(), tail.end());
  if (const auto known = nodes_.find(tokens)) return *known;

  KeyValues kv;
  kv.computed = computed;
  const std::size_t shared = prompt_size_ / block_positions;
  for (std::size_t i = 0; i < blocks_of(computed); ++i) {
    if (i < shared) {
      kv.table.push_back(nodes_.at(root_).payload.table[i]);
      pool_.retain(kv.table.back());
      continue;
    }
    const std::string_view data = in.get_string();
    SHOAL_EXPECT(data.size() == pool_.block_bytes());
    kv.table.push_back(pool_.allocate());
    pool_.write(std::as_bytes(std::span(data)), kv.table.back());
    pool_.set_claimed(kv.table.back(), block_positions);
  }
  if (computed % block_positions != 0) pool_.set_claimed(kv.table.back(), computed % block_positions);
  return nodes_.insert(std::move(tokens), std::move(kv));
}

}  // namespace shoal::lm
