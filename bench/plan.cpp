// The migration plan: from the parents and where they live to who sends what to whom. Every rank computes it for all
// particles, so its time adds to every resampling. Limit: copying the plan's inputs (4 bytes of parent, 4 of owner, per
// particle) to its output.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/rng.hpp"
#include "cluster/migration_plan.hpp"
#include "limit.hpp"
#include "smc/resampling.hpp"
#include "smc/weights.hpp"

namespace shoal::bench {
namespace {

/// Sorted parents as systematic resampling gives them, with weights that differ by up to e^@p spread.
std::vector<LogicalId> ancestors(std::size_t n, double spread) {
  std::vector<double> log_weights;
  for (std::uint32_t i = 0; i < n; ++i)
    log_weights.push_back(spread * random_uniform({1}, 0, LogicalId{i}, Purpose::synthetic));
  const auto weights = smc::integer_weights(log_weights);
  const auto words = smc::resampling_words(smc::Resampling::systematic, n, {1}, 1);
  return smc::ancestors_of(smc::offspring_counts(smc::Resampling::systematic, weights.q, words));
}

void PlanMigration(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const int ranks = static_cast<int>(state.range(1));
  const auto parents = ancestors(n, 8.0);
  std::vector<Rank> owners;
  for (std::size_t i = 0; i < n; ++i) owners.push_back(Rank{static_cast<int>(i * static_cast<std::size_t>(ranks) / n)});
  std::vector<int> nodes;
  for (int r = 0; r < ranks; ++r) nodes.push_back(r / 8);
  std::size_t transfers = 0;
  for (auto _ : state) {
    const auto plan = cluster::plan_migration(parents, owners, nodes, 0.0);
    benchmark::DoNotOptimize(transfers = plan.transfers.size());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["transfers"] = static_cast<double>(transfers);
  set_limit(&state, copy_seconds(n * (sizeof(LogicalId) + sizeof(Rank))));
}
BENCHMARK(PlanMigration)
    ->Args({100, 2})
    ->Args({4096, 8})
    ->Args({65536, 8})
    ->Args({65536, 256})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace shoal::bench

BENCHMARK_MAIN();
