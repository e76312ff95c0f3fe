// ContextMemory: what the contexts of a run may come to take, every one of them distinct, and how many fit. A context
// whose tokens see a window holds the blocks of that and of released_together positions more, however it has come to
// be: TransformerTree computes no further before it releases what the window has passed.
#pragma once

#include <cstdint>

#include "shoal/language_model.hpp"

namespace shoal::lm {

/// Positions whose blocks are released at once, at absolute positions: a GPU's attention reads so many together, or a
/// part of them, for all rows that see some (see cuda/attention_plan.hpp).
inline constexpr int released_together = 256;

struct ContextMemory {
  std::uint64_t block_bytes = 0;       ///< of 16 positions
  std::uint64_t logits_row_bytes = 0;  ///< of one context
  std::uint64_t window = 0;            ///< positions that a token sees, 0: all

  /// Blocks at the most, for contexts that share @p prompt tokens.
  [[nodiscard]] std::uint64_t blocks(std::uint64_t prompt, ContextLimits limits) const;
  /// Bytes of all kinds at the most.
  [[nodiscard]] std::uint64_t needed(std::uint64_t prompt, ContextLimits limits) const;
  /// How many contexts with @p new_tokens fit into @p bytes.
  [[nodiscard]] std::uint64_t most_contexts(std::uint64_t prompt, int new_tokens, std::uint64_t bytes) const;
  /// How many new tokens of @p contexts fit into @p bytes; negative if not even none.
  [[nodiscard]] int most_new_tokens(std::uint64_t prompt, int contexts, std::uint64_t bytes) const;
};

ContextMemory context_memory(const ModelSummary& model);

}  // namespace shoal::lm
