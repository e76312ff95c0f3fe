#include "smc/block_resampling.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace shoal::smc {
namespace {

std::vector<ChildRange> overlaps(std::size_t begin, std::size_t end, std::span<const std::size_t> bounds) {
  std::vector<ChildRange> ranges;
  for (std::size_t r = 0; r + 1 < bounds.size(); ++r) {
    const ChildRange range{Rank{static_cast<std::int32_t>(r)}, std::max(begin, bounds[r]),
                           std::min(end, bounds[r + 1])};
    if (range.begin < range.end) ranges.push_back(range);
  }
  return ranges;
}

std::vector<std::size_t> block_bounds(std::size_t particles, std::size_t ranks) {
  std::vector<std::size_t> bounds;
  for (std::size_t r = 0; r <= ranks; ++r)
    bounds.push_back(block_begin(particles, static_cast<int>(ranks), static_cast<int>(r)));
  return bounds;
}

std::size_t sum(const std::vector<std::uint32_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

/// Sure shares first, then the draws that they leave.
std::vector<std::uint32_t> residual_counts(const Stretch& stretch, RandomKey key, std::uint32_t batch,
                                           JointSteps* steps) {
  ResidualShares shares;
  Uint128 mine = 0;
  steps->attempt([&] {
    shares = residual_shares(stretch);
    for (const std::uint64_t remainder : shares.remainders) mine += remainder;
  });
  const auto all = steps->all_gather<2>({mine, sum(shares.counts)});
  Stretch remainders{.q = shares.remainders, .before = 0, .total = 0, .particles = stretch.particles};
  std::size_t left = stretch.particles;
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (r < static_cast<std::size_t>(steps->transport().rank().value())) remainders.before += all[r][0];
    remainders.total += all[r][0];
    left -= static_cast<std::size_t>(all[r][1]);
  }
  steps->attempt([&] { add_residual_draws(remainders, left, key, batch, &shares.counts); });
  return std::move(shares.counts);
}

}  // namespace

void sum_over_ranks(BlockWeights* weights, JointSteps* steps) {
  const auto all = steps->all_gather<2>({weights->total, weights->squares});
  weights->before = 0;
  weights->total = 0;
  weights->squares = 0;
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (r < static_cast<std::size_t>(steps->transport().rank().value())) weights->before += all[r][0];
    weights->total += static_cast<std::uint64_t>(all[r][0]);
    weights->squares += all[r][1];
  }
}

BlockOffspring block_offspring(Resampling scheme, const BlockWeights& weights, RandomKey key, std::uint32_t batch,
                               JointSteps* steps) {
  const Stretch stretch{
      .q = weights.q, .before = weights.before, .total = weights.total, .particles = weights.particles};
  BlockOffspring offspring;
  if (scheme == Resampling::residual)
    offspring.counts = residual_counts(stretch, key, batch, steps);
  else
    steps->attempt([&] { offspring.counts = offspring_of_stretch(scheme, stretch, key, batch); });
  std::size_t before = 0;
  for (const auto& [children] : steps->all_gather<1>({sum(offspring.counts)})) {
    offspring.first_child.push_back(before);
    before += static_cast<std::size_t>(children);
  }
  offspring.first_child.push_back(before);
  return offspring;
}

std::vector<ChildRange> children_by_destination(std::span<const std::size_t> first_child, Rank mine) {
  const auto r = static_cast<std::size_t>(mine.value());
  return overlaps(first_child[r], first_child[r + 1], block_bounds(first_child.back(), first_child.size() - 1));
}

std::vector<ChildRange> children_by_origin(std::span<const std::size_t> first_child, Rank mine) {
  const auto bounds = block_bounds(first_child.back(), first_child.size() - 1);
  const auto r = static_cast<std::size_t>(mine.value());
  return overlaps(bounds[r], bounds[r + 1], first_child);
}

}  // namespace shoal::smc
