// Blocks of a population give the bits that the whole gives, on any number of ranks.
#include "smc/block_resampling.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <mutex>
#include <new>
#include <stdexcept>

#include "smc/thread_cluster.hpp"

namespace shoal::smc {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<double> some_log_weights(std::size_t n, std::uint32_t seed) {
  std::vector<double> lw;
  for (std::uint32_t i = 0; i < n; ++i) {
    const double u = random_uniform({seed}, 0, LogicalId{i}, Purpose::synthetic);
    lw.push_back(seed % 3 == 0 && u < 0.4 ? -inf : std::log(u) * (1.0 + seed % 7));
  }
  return lw;
}

/// Of a block of some particles, over all ranks.
BlockWeights weights_of(std::span<const double> block, const std::vector<double>& all, JointSteps* steps) {
  BlockWeights weights;
  weights.particles = all.size();
  weights.scale = weight_scale(all.size());
  weights.max = largest_log_weight(all, 0);
  add_integer_weights(block, &weights);
  sum_over_ranks(&weights, steps);
  return weights;
}

struct Blocks {
  std::vector<std::uint32_t> counts;
  WeightSums sums;
  std::vector<std::size_t> first_child;
};

/// One resampling, by as many ranks.
Blocks resample_in_blocks(Resampling scheme, const std::vector<double>& lw, int ranks) {
  Blocks all;
  all.counts.resize(lw.size());
  std::mutex mutex;
  const auto outcomes =
      test::run_on_ranks(std::vector<int>(static_cast<std::size_t>(ranks), test::no_deadline), [&](Transport& t) {
        const std::size_t begin = block_begin(lw.size(), ranks, t.rank().value());
        const std::size_t end = block_begin(lw.size(), ranks, t.rank().value() + 1);
        JointSteps steps(&t);
        const BlockWeights weights = weights_of(std::span(lw).subspan(begin, end - begin), lw, &steps);
        const BlockOffspring offspring =
            weights.extinct() ? BlockOffspring() : block_offspring(scheme, weights, {9}, 4, &steps);
        const std::lock_guard lock(mutex);
        std::copy(offspring.counts.begin(), offspring.counts.end(),
                  all.counts.begin() + static_cast<std::ptrdiff_t>(begin));
        all.sums = weights;
        all.first_child = offspring.first_child;
        return RunResult();
      });
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.message(), "");
  return all;
}

TEST(BlockResampling, HasTheBitsOfTheWholeOnAnyNumberOfRanks) {
  for (const Resampling scheme :
       {Resampling::multinomial, Resampling::stratified, Resampling::systematic, Resampling::residual}) {
    for (const std::size_t n : {1U, 2U, 7U, 64U, 1000U}) {
      for (const std::uint32_t seed : {1U, 3U, 5U}) {
        const auto lw = some_log_weights(n, seed);
        const IntegerWeights whole = integer_weights(lw);
        if (whole.extinct()) continue;
        const auto expected = offspring_counts(scheme, whole.q, resampling_words(scheme, n, {9}, 4));
        for (const int ranks : {1, 2, 3, 5}) {
          const Blocks blocks = resample_in_blocks(scheme, lw, ranks);
          EXPECT_EQ(blocks.counts, expected) << n << " particles, " << ranks << " ranks";
          EXPECT_EQ(blocks.first_child.back(), n);
          EXPECT_EQ(effective_sample_size(blocks.sums), effective_sample_size(whole));
          EXPECT_EQ(log_mean_weight(blocks.sums), log_mean_weight(whole));
        }
      }
    }
  }
}

TEST(BlockResampling, AllZeroIsExtinctOnEveryRank) {
  const Blocks blocks = resample_in_blocks(Resampling::systematic, std::vector<double>(10, -inf), 3);
  EXPECT_TRUE(blocks.sums.extinct());
}

TEST(JointSteps, FailOnAllRanksIfTheyFailOnOne) {
  const auto outcomes = test::run_on_ranks({test::no_deadline, test::no_deadline}, [&](Transport& t) {
    JointSteps steps(&t);
    steps.attempt([&] {
      if (t.rank() == Rank{1}) throw std::bad_alloc();
    });
    steps.attempt([&] {
      if (t.rank() == Rank{1}) throw std::logic_error("went on after a failure");
    });
    (void)steps.all_gather<2>({1, 2});
    return RunResult();
  });
  EXPECT_EQ(outcomes[0].message(), PeerError("rank 1 failed").what());
  EXPECT_THROW(std::rethrow_exception(outcomes[1].failure), std::bad_alloc);
}

TEST(ChildRanges, OfSendersAndReceiversAgree) {
  // 10 children on 3 ranks, whose blocks are 0..2, 3..5 and 6..9; the particles of rank 0 have 1, of rank 1 seven.
  const std::vector<std::size_t> first_child{0, 1, 8, 10};
  std::vector<std::tuple<int, int, std::size_t, std::size_t>> sent, received;
  for (int r = 0; r < 3; ++r) {
    for (const ChildRange& range : children_by_destination(first_child, Rank{r}))
      sent.emplace_back(r, range.peer.value(), range.begin, range.end);
    for (const ChildRange& range : children_by_origin(first_child, Rank{r}))
      received.emplace_back(range.peer.value(), r, range.begin, range.end);
  }
  std::sort(received.begin(), received.end());
  EXPECT_EQ(sent, received);
  const std::vector<std::tuple<int, int, std::size_t, std::size_t>> expected{
      {0, 0, 0, 1}, {1, 0, 1, 3}, {1, 1, 3, 6}, {1, 2, 6, 8}, {2, 2, 8, 10}};
  EXPECT_EQ(sent, expected);
}

}  // namespace
}  // namespace shoal::smc
