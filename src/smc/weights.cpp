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

}  // namespace

int weight_scale(std::size_t particles) { return std::min(52, 63 - static_cast<int>(std::bit_width(particles - 1))); }

double largest_log_weight(std::span<const double> log_weights, std::size_t first) {
  double max = -infinity;
  for (std::size_t i = 0; i < log_weights.size(); ++i) {
    if (!(log_weights[i] < infinity))
      throw Error(ExitCode::internal, "particle " + std::to_string(first + i) +
                                          " has no finite weight (the model or a potential returned NaN or +inf) check "
                                          "the potentials with a self-check, then the model");
    max = std::max(max, log_weights[i]);
  }
  return max;
}

void add_integer_weights(std::span<const double> log_weights, IntegerWeights* w) {
  w->q.assign(log_weights.size(), 0);
  if (w->max == -infinity) return;
  const auto unit = static_cast<double>(std::uint64_t{1} << w->scale);
  for (std::size_t i = 0; i < log_weights.size(); ++i) {
    w->q[i] = round_to_integer(unit * exact_exp(log_weights[i] - w->max));
    w->total += w->q[i];
    w->squares += Uint128{w->q[i]} * w->q[i];
  }
}

IntegerWeights integer_weights(std::span<const double> log_weights) {
  IntegerWeights w;
  w.particles = log_weights.size();
  w.scale = weight_scale(w.particles);
  w.max = largest_log_weight(log_weights, 0);
  add_integer_weights(log_weights, &w);
  return w;
}

double effective_sample_size(const WeightSums& weights) {
  if (weights.extinct()) return 0.0;
  const auto total = static_cast<double>(weights.total);
  return total * total / static_cast<double>(weights.squares);
}

double log_mean_weight(const WeightSums& weights) {
  if (weights.extinct()) return -infinity;
  const double units = static_cast<double>(weights.total) / static_cast<double>(weights.particles);
  return weights.max + exact_log(std::ldexp(units, -weights.scale));
}

}  // namespace shoal::smc
