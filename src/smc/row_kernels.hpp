// The passes over one row of logits that cost time at V = 150,000: maximum, and exp with sums.
// Eight fixed lanes, and fused multiply-adds only where written: the bits do not depend on the instruction set, which
// is chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace shoal::smc {

/// Set of tokens, one bit each, as in TokenMask.
using TokenBits = std::span<const std::uint64_t>;

/// Tokens whose weights are summed together.
inline constexpr std::size_t chunk_tokens = 512;

struct RowMaxima {
  float real = 0.0F;     ///< over the real tokens; -inf if none
  float allowed = 0.0F;  ///< over the allowed ones
};

/// @param allowed a subset of @p real. NaN entries are passed over.
RowMaxima row_maxima(std::span<const float> logits, TokenBits real, TokenBits allowed);

/// Sum over the real tokens of exp((logit - reference) * inverse_temperature).
/// exp has a relative error below 3e-7 and is 0 below e^-87; NaN gives NaN. Sums are taken in double precision.
double sum_of_exp(std::span<const float> logits, TokenBits real, float reference, float inverse_temperature);

/// The same, and sums the weights, which are the exp of an allowed logit and 0 of another, per chunk_tokens tokens into
/// @p chunk_sums: their sum in order is the result if all are allowed.
double exp_sums(std::span<const float> logits, TokenBits real, TokenBits allowed, float reference,
                float inverse_temperature, std::span<double> chunk_sums);

/// The same, and replaces each logit by its weight.
double exp_in_place(std::span<float> logits, TokenBits real, TokenBits allowed, float reference,
                    float inverse_temperature, std::span<double> chunk_sums);

}  // namespace shoal::smc
