// A transformer whose keys and values are hashes of all tokens so far: one wrong slot in one block changes every logit
// after it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "lm/token_tree.hpp"
#include "lm/transformer_tree.hpp"

namespace shoal::lm {

inline constexpr int block_positions = 16;

/// A block is 16 hashes, each of the tokens up to its position; the one logit is made of the last hash, and with a
/// window also of the first one in it.
class HashTransformer final : public Transformer {
 public:
  /// @param window positions that a token sees, 0 if all
  explicit HashTransformer(int window = 0) : window_(window) {
    config_.vocabulary_size = 1;
    if (window > 0) config_.windows = {window};
  }
  [[nodiscard]] const TransformerConfig& config() const override { return config_; }
  [[nodiscard]] DType dtype() const override { return DType::f32; }
  [[nodiscard]] std::uint64_t parameters() const override { return 0; }
  [[nodiscard]] std::uint64_t weight_bytes() const override { return 0; }
  [[nodiscard]] std::string device() const override { return "none"; }
  [[nodiscard]] std::unique_ptr<BlockMemory> block_memory(std::size_t most) const override {
    return std::make_unique<HostBlockMemory>(most);
  }
  [[nodiscard]] std::uint64_t free_block_bytes() const override { return 0; }
  [[nodiscard]] std::size_t block_bytes() const override { return block_positions * sizeof(std::uint64_t); }

  void forward(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers*,
               std::span<float> logits) const override {
    most_live_blocks = std::max(most_live_blocks, pool->live());
    std::size_t used = 0;
    for (const TokenRow& row : rows) {
      const std::uint64_t before = row.position == 0 ? 0 : *slot(pool, row, row.position - 1);
      *slot(pool, row, row.position) = hash_next(before, row.token);
      const int first = std::max(0, row.position + 1 - window_);
      const std::uint64_t seen = window_ > 0 ? *slot(pool, row, first) : 0;
      if (row.logits == Logits::yes) logits[used++] = logit(*slot(pool, row, row.position) ^ seen);
      ++rows_computed;
    }
    EXPECT_EQ(used, logits.size());
  }

  static float logit(std::uint64_t hash) { return static_cast<float>(hash >> 40U); }
  static std::uint64_t hash_of(std::span<const TokenId> tokens) {
    std::uint64_t hash = 0;
    for (const TokenId token : tokens) hash = hash_next(hash, token);
    return hash;
  }
  static float logit_of(std::span<const TokenId> tokens) { return logit(hash_of(tokens)); }
  [[nodiscard]] float logit_in_window(std::span<const TokenId> tokens) const {
    const std::size_t first = tokens.size() - std::min(tokens.size(), static_cast<std::size_t>(window_));
    return logit(hash_of(tokens) ^ hash_of(tokens.first(first + 1)));
  }
  [[nodiscard]] float expected_logit(std::span<const TokenId> tokens) const {
    return window_ > 0 ? logit_in_window(tokens) : logit_of(tokens);
  }
  mutable std::size_t rows_computed = 0;
  mutable std::size_t most_live_blocks = 0;  ///< in a forward pass

 private:
  static std::uint64_t* slot(BlockPool* pool, const TokenRow& row, int position) {
    const BlockId block = row.table[static_cast<std::size_t>(position / block_positions)];
    return reinterpret_cast<std::uint64_t*>(pool->data(block)) + position % block_positions;
  }
  TransformerConfig config_;
  int window_;
};

}  // namespace shoal::lm
