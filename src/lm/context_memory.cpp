#include "lm/context_memory.hpp"

#include <algorithm>
#include <limits>

#include "lm/cpu/kernels.hpp"

namespace shoal::lm {
namespace {

constexpr std::uint64_t positions = cpu::block_positions;
/// More rows than these take several passes (see smc::Decoder).
constexpr std::uint64_t logits_at_once = std::uint64_t{256} << 20U;
constexpr std::uint64_t rows_at_least = 16;

/// The largest n below @p end for which @p fits, which all smaller ones do too; -1 if none does.
template <class Fits>
std::int64_t largest(std::int64_t end, const Fits& fits) {
  std::int64_t most = -1;
  while (most + 1 < end) {
    const std::int64_t middle = most + (end - most) / 2;
    (fits(middle) ? most : end) = middle;
  }
  return most;
}

}  // namespace

/// The blocks that hold nothing but prompt are the root's; of the others a context has its own at the worst: one that
/// begins within the prompt, and one that its new tokens do not fill.
std::uint64_t ContextMemory::blocks(std::uint64_t prompt, ContextLimits limits) const {
  const std::uint64_t held = window == 0 ? std::numeric_limits<std::uint64_t>::max()
                                         : (window + released_together + positions - 1) / positions;
  return std::min(prompt / positions + 1, held) +
         static_cast<std::uint64_t>(limits.contexts) *
             std::min(static_cast<std::uint64_t>(limits.new_tokens) / positions + 2, held);
}

std::uint64_t ContextMemory::needed(std::uint64_t prompt, ContextLimits limits) const {
  const auto contexts = static_cast<std::uint64_t>(limits.contexts),
             tokens = prompt + static_cast<std::uint64_t>(limits.new_tokens);
  const std::uint64_t logits =
      std::min(contexts * logits_row_bytes, std::max(logits_at_once, rows_at_least * logits_row_bytes));
  return blocks(prompt, limits) * block_bytes + contexts * tokens * sizeof(TokenId) + logits;
}

std::uint64_t ContextMemory::most_contexts(std::uint64_t prompt, int new_tokens, std::uint64_t bytes) const {
  const std::int64_t most = largest(std::int64_t{1} << 31U, [&](std::int64_t contexts) {
    return needed(prompt, {static_cast<int>(contexts), new_tokens}) <= bytes;
  });
  return static_cast<std::uint64_t>(std::max<std::int64_t>(most, 0));
}

int ContextMemory::most_new_tokens(std::uint64_t prompt, int contexts, std::uint64_t bytes) const {
  return static_cast<int>(largest(std::int64_t{1} << 31U, [&](std::int64_t new_tokens) {
    return needed(prompt, {contexts, static_cast<int>(new_tokens)}) <= bytes;
  }));
}

ContextMemory context_memory(const ModelSummary& model) {
  return {.block_bytes = model.kv_bytes_per_token * positions,
          .logits_row_bytes = static_cast<std::uint64_t>(model.vocabulary_size) * sizeof(float),
          .window = static_cast<std::uint64_t>(model.window)};
}

}  // namespace shoal::lm
