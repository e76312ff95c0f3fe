#include "smc/weights.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "base/exact_math.hpp"
#include "shoal/error.hpp"

namespace shoal::smc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Nearest integer, halves up, whatever the rounding mode; 0 <= x <= 2^52.
std::uint64_t round_to_integer(double x) {
  const auto whole = static_cast<std::uint64_t>(x);
  return whole + (x - static_cast<double>(whole) >= 0.5 ? 1 : 0);
}

double largest(std::span<const double> log_weights) {
  double max = -infinity;
  for (std::size_t i = 0; i < log_weights.size(); ++i) {
    if (!(log_weights[i] < infinity))
      throw Error(ExitCode::internal, "particle " + std::to_string(i) +
                                          " has no finite weight (the model or a potential returned NaN or +inf) check "
                                          "the potentials with a self-check, then the model");
    max = std::max(max, log_weights[i]);
  }
  return max;
}

}  // namespace

IntegerWeights integer_weights(std::span<const double> log_weights) {
  const auto n = log_weights.size();
  IntegerWeights w;
  w.q.assign(n, 0);
  w.scale = std::min(52, 63 - static_cast<int>(std::bit_width(n - 1)));
  w.max = largest(log_weights);
  if (w.max == -infinity) return w;
  const auto unit = static_cast<double>(std::uint64_t{1} << w.scale);
  for (std::size_t i = 0; i < n; ++i) {
    w.q[i] = round_to_integer(unit * exact_exp(log_weights[i] - w.max));
    w.total += w.q[i];
    w.squares += Uint128{w.q[i]} * w.q[i];
  }
  return w;
}

double effective_sample_size(const IntegerWeights& weights) {
  if (weights.extinct()) return 0.0;
  const auto total = static_cast<double>(weights.total);
  return total * total / static_cast<double>(weights.squares);
}

double log_mean_weight(const IntegerWeights& weights) {
  if (weights.extinct()) return -infinity;
  const double units = static_cast<double>(weights.total) / static_cast<double>(weights.q.size());
  return weights.max + exact_log(std::ldexp(units, -weights.scale));
}

}  // namespace shoal::smc
