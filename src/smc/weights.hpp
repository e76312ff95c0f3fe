// Log-weights as integers: sums of them are exact, so ESS, log Z-hat and offspring have the same bits on any number of
// ranks and in any order of summation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shoal::smc {

__extension__ typedef unsigned __int128 Uint128;

/// Sums over all particles. Exact, so they may be added up in any order.
struct WeightSums {
  std::size_t particles = 0;
  std::uint64_t total = 0;  ///< sum of q[i]
  Uint128 squares = 0;      ///< sum of q[i]^2
  double max = 0.0;         ///< largest log-weight; -inf if extinct
  int scale = 0;

  [[nodiscard]] bool extinct() const { return total == 0; }
};

/// q[i] = round(2^scale * exp(log_weight[i] - max)): the largest weight becomes 2^scale, and each is off by at most
/// half a unit.
struct IntegerWeights : WeightSums {
  std::vector<std::uint64_t> q;
};

/// min(52, 63 - ceil(log2 N)), so that the total fits 64 bits.
int weight_scale(std::size_t particles);
/// Of some of the particles; -inf if there is none that is larger.
/// @param first logical id of the first, for the message
/// @throws Error naming the particle if a log-weight is NaN or +inf
double largest_log_weight(std::span<const double> log_weights, std::size_t first);
/// Sets q of some of the particles and adds them to the sums, whose max and scale are those of all.
void add_integer_weights(std::span<const double> log_weights, IntegerWeights* weights);

/// All -inf gives the extinct value.
/// @throws Error naming the particle if a log-weight is NaN or +inf
IntegerWeights integer_weights(std::span<const double> log_weights);

/// Effective sample size Q^2 / sum q^2, in [1, N]; 0 if extinct.
double effective_sample_size(const WeightSums& weights);

/// ln of the mean weight, i.e. logsumexp - ln N; -inf if extinct.
double log_mean_weight(const WeightSums& weights);

}  // namespace shoal::smc
