#include "lm/context_memory.hpp"

#include <algorithm>

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

std::uint64_t ContextMemory::blocks(std::uint64_t prompt, ContextLimits limits) {
  return prompt / positions + 1 +
         static_cast<std::uint64_t>(limits.contexts) * (static_cast<std::uint64_t>(limits.new_tokens) / positions + 2);
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
          .logits_row_bytes = static_cast<std::uint64_t>(model.vocabulary_size) * sizeof(float)};
}

}  // namespace shoal::lm
