// The passes over one row of logits that cost time at V = 150,000: exp with sums.
// Sixteen fixed lanes, and fused multiply-adds only where written: the bits do not depend on the instruction set, which
// is chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace shoal::smc {

/// Set of tokens, one bit each, as in TokenMask.
using TokenBits = std::span<const std::uint64_t>;

/// Tokens whose weights are summed together: few enough to stay in the nearest cache between two looks at them.
inline constexpr std::size_t chunk_tokens = 512;
constexpr std::size_t chunks_of(std::size_t tokens) { return (tokens + chunk_tokens - 1) / chunk_tokens; }

/// Sum over some tokens of exp((logit - reference) / T), where the reference is their largest logit.
struct ScaledSum {
  float reference = 0.0F;  ///< -inf if no token has a logit above it; taken for 0 in the sum
  double sum = 0.0;        ///< NaN if a logit is NaN or +inf
  bool operator==(const ScaledSum&) const = default;
};

/// Sums over the real and over the allowed tokens of every chunk_tokens tokens. Reads the row from memory once.
/// exp has a relative error below 2e-7 and is 0 below e^-87. Sums are taken in double precision.
/// @param allowed a subset of @p real
void sum_chunks(std::span<const float> logits, TokenBits real, TokenBits allowed, double inverse_temperature,
                std::span<ScaledSum> of_real, std::span<ScaledSum> of_allowed);

/// Replaces each logit by its weight: exp((logit - reference) * inverse_temperature) of one of @p tokens, 0 of another.
/// A reference of -inf is taken for 0. @return the sum of the weights
double exp_in_place(std::span<float> logits, TokenBits tokens, float reference, double inverse_temperature);

}  // namespace shoal::smc
