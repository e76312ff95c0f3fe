// A transformer whose keys and values are hashes of all tokens so far: one wrong slot in one block changes every logit
// after it.
#pragma once

#include <gtest/gtest.h>

#include "lm/token_tree.hpp"
#include "lm/transformer_tree.hpp"

namespace shoal::lm {

inline constexpr int block_positions = 16;

/// A block is 16 hashes, each of the tokens up to its position; the one logit is made of the last hash.
class HashTransformer final : public Transformer {
 public:
  HashTransformer() { config_.vocabulary_size = 1; }
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
    std::size_t used = 0;
    for (const TokenRow& row : rows) {
      const std::uint64_t before = row.position == 0 ? 0 : *slot(pool, row, row.position - 1);
      *slot(pool, row, row.position) = hash_next(before, row.token);
      if (row.logits == Logits::yes) logits[used++] = logit(*slot(pool, row, row.position));
      ++rows_computed;
    }
    EXPECT_EQ(used, logits.size());
  }

  static float logit(std::uint64_t hash) { return static_cast<float>(hash >> 40U); }
  static float logit_of(std::span<const TokenId> tokens) {
    std::uint64_t hash = 0;
    for (const TokenId token : tokens) hash = hash_next(hash, token);
    return logit(hash);
  }
  mutable std::size_t rows_computed = 0;

 private:
  static std::uint64_t* slot(BlockPool* pool, const TokenRow& row, int position) {
    const BlockId block = row.table[static_cast<std::size_t>(position / block_positions)];
    return reinterpret_cast<std::uint64_t*>(pool->data(block)) + position % block_positions;
  }
  TransformerConfig config_;
};

}  // namespace shoal::lm
