// Log-weights as integers: sums of them are exact, so ESS, log Z-hat and offspring have the same bits on any number of
// ranks and in any order of summation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shoal::smc {

__extension__ typedef unsigned __int128 Uint128;

/// q[i] = round(2^scale * exp(log_weight[i] - max)): the largest weight becomes 2^scale, and each is off by at most
/// half a unit. scale = min(52, 63 - ceil(log2 N)), so that the total fits 64 bits.
struct IntegerWeights {
  std::vector<std::uint64_t> q;
  std::uint64_t total = 0;
  Uint128 squares = 0;  ///< sum of q[i]^2
  double max = 0.0;     ///< largest log-weight; -inf if extinct
  int scale = 0;

  [[nodiscard]] bool extinct() const { return total == 0; }
};

/// All -inf gives the extinct value.
/// @throws Error naming the particle if a log-weight is NaN or +inf
IntegerWeights integer_weights(std::span<const double> log_weights);

/// Effective sample size Q^2 / sum q^2, in [1, N]; 0 if extinct.
double effective_sample_size(const IntegerWeights& weights);

/// ln of the mean weight, i.e. logsumexp - ln N; -inf if extinct.
double log_mean_weight(const IntegerWeights& weights);

}  // namespace shoal::smc
