// Computes the contexts of particles anew from their tokens, after a restart or on another rank.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "shoal/language_model.hpp"
#include "smc/population.hpp"

namespace shoal::smc {

/// The context of each of @p sequences (tokens after the prompt), in their order. A part that several share, or that
/// @p tree has, is computed once, so that its blocks are shared too; the last token of each is left to the next forward
/// pass, as in a run that never stopped. With kernels whose rows do not depend on each other the bits are the same as
/// in that run.
std::vector<ContextReference> rebuild_contexts(ContextTree* tree, std::size_t vocabulary_size,
                                               std::span<const std::span<const TokenId>> sequences);
/// Gives those of @p histories that still grow their contexts.
void rebuild_growing(ContextTree* tree, std::size_t vocabulary_size, std::span<History> histories);

}  // namespace shoal::smc
