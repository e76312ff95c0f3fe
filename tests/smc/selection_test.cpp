// Runs in blocks have the bits of runs in vectors, on any number of ranks and however they end.
#include "smc/selection.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <limits>
#include <mutex>
#include <set>

#include "base/signals.hpp"
#include "shoal/error.hpp"
#include "smc/run.hpp"
#include "smc/thread_cluster.hpp"
#include "smc/toy_worlds.hpp"
#include "smc/without_ids.hpp"

namespace shoal::smc {
namespace {

using test::World;

struct Recorder final : Observer {
  void on_batch(const BatchRecord& record) override { batches.push_back(record); }
  std::vector<BatchRecord> batches;
};

RunResult run_alone(const World& world, Observer* observer = nullptr) {
  SingleProcess alone;
  return run(world.model, {}, world.potentials, world.options, alone, observer);
}

World in_blocks(World world) {
  world.options.most_in_vectors = 0;
  return world;
}

/// On one rank for each entry of @p tokens_until_deadline.
std::vector<test::RankOutcome> run_in_blocks(const World& world, const std::vector<int>& tokens_until_deadline,
                                             Observer* observer = nullptr, int delay = 0) {
  const World blocks = in_blocks(world);
  return test::run_on_ranks(
      tokens_until_deadline,
      [&](Transport& transport) {
        return run(blocks.model, {}, blocks.potentials, blocks.options, transport,
                   transport.rank() == Rank{0} ? observer : nullptr);
      },
      delay);
}

std::vector<int> no_deadlines(int ranks) {
  return std::vector<int>(static_cast<std::size_t>(ranks), test::no_deadline);
}

/// Of rank 0, after a run that nothing has failed in.
const RunResult& result_of(const std::vector<test::RankOutcome>& outcomes) {
  for (const auto& outcome : outcomes) {
    EXPECT_EQ(outcome.message(), "");
    EXPECT_EQ(outcome.result.log_z, outcomes[0].result.log_z);
    EXPECT_EQ(outcome.result.reason, outcomes[0].result.reason);
  }
  return outcomes[0].result;
}

TEST(Blocks, HaveTheBitsOfVectors) {
  for (World world : test::all_worlds()) {
    for (const Resampling scheme :
         {Resampling::systematic, Resampling::stratified, Resampling::residual, Resampling::multinomial}) {
      for (const int particles : {1, 3, 60}) {
        world.options.particles = particles;
        world.options.batch_size = 1;
        world.options.ess_threshold = 2.0;
        world.options.resampling = scheme;
        Recorder in_vectors;
        const std::string expected = test::without_ids(run_alone(world, &in_vectors));
        for (const int ranks : {1, 2, 3, 5}) {
          world.options.migrate = ranks == 3 ? Migrate::tokens : Migrate::key_values;
          Recorder recorder;
          const auto outcomes = run_in_blocks(world, no_deadlines(ranks), &recorder, ranks == 5 ? 1 : 0);
          EXPECT_EQ(test::without_ids(result_of(outcomes)), expected) << world.name << ' ' << particles << ' ' << ranks;
          ASSERT_EQ(recorder.batches.size(), in_vectors.batches.size());
          for (std::size_t b = 0; b < recorder.batches.size(); ++b) {
            EXPECT_EQ(recorder.batches[b].log_z, in_vectors.batches[b].log_z);
            EXPECT_EQ(recorder.batches[b].ess, in_vectors.batches[b].ess);
            EXPECT_EQ(recorder.batches[b].resampled, in_vectors.batches[b].resampled);
            EXPECT_TRUE(recorder.batches[b].log_weight.empty());
          }
        }
      }
    }
  }
}

TEST(Blocks, HaveTheBitsOfVectorsWhereRunsTurnToThem) {
  World world = test::letters_world();
  world.options.particles = default_most_in_vectors + 1;
  ASSERT_TRUE(weighed_in_blocks(world.options));
  const RunResult blocks = run_alone(world);
  world.options.most_in_vectors = world.options.particles;
  EXPECT_EQ(test::without_ids(blocks), test::without_ids(run_alone(world)));
}

TEST(Blocks, ListEachHistoryOnceByFallingWeight) {
  World world = test::letters_world();
  world.options.particles = 200;
  const auto outcomes = run_in_blocks(world, no_deadlines(3));
  const RunResult& result = result_of(outcomes);
  std::uint64_t particles = 0;
  double last = std::numeric_limits<double>::infinity();
  std::set<std::vector<TokenId>> seen;
  for (const ParticleResult& history : result.particles) {
    particles += history.count;
    const double weight = static_cast<double>(history.count) * std::exp(history.log_weight);
    EXPECT_LE(weight, last * (1 + 1e-12));
    last = weight;
    EXPECT_TRUE(seen.insert(history.tokens).second || !history.finished);
  }
  EXPECT_EQ(particles, 200U);
  EXPECT_LT(result.particles.size(), 100U);
}

TEST(Blocks, CountWhatMoves) {
  World world = test::letters_world();
  world.options = {.particles = 100, .batch_size = 1, .max_tokens = 3, .ess_threshold = 2.0};
  const auto outcomes = run_in_blocks(world, no_deadlines(2));
  const RunResult& result = result_of(outcomes);
  EXPECT_GT(result.migration.moved, 0U);
  EXPECT_GT(result.migration.sent, 0U);
  EXPECT_LE(result.migration.sent, result.migration.moved);
  EXPECT_GE(result.migration.messages, 1U);
  EXPECT_GT(result.migration.bytes, 0U);
  EXPECT_EQ(outcomes[1].result.migration.sent, result.migration.sent);
}

TEST(Blocks, EndAtTheSameTokenWhenADeadlineCutsABatch) {
  World world = test::syllables_world();
  world.options.particles = 50;
  world.options.batch_size = 3;
  const auto vectors = test::run_on_ranks({2, 1, 3}, [&](Transport& transport) {
    return run(world.model, {}, world.potentials, world.options, transport);
  });
  const auto blocks = run_in_blocks(world, {2, 1, 3});
  EXPECT_EQ(result_of(blocks).reason, FinishReason::timeout);
  EXPECT_EQ(test::without_ids(result_of(blocks)), test::without_ids(result_of(vectors)));
}

TEST(Blocks, EndOnASignal) {
  World world = test::letters_world();
  const ScopedSignals signals;
  std::once_flag once;
  world.potentials.push_back(std::make_shared<test::TextPotential>(
      "signalling",
      [&once](const std::string& text) {
        if (text.size() == 2) std::call_once(once, [] { std::raise(SIGTERM); });
        return 1.0;
      },
      [](const std::string&) { return 1.0; }));
  const RunResult result = run_alone(in_blocks(world));
  EXPECT_EQ(result.reason, FinishReason::signal);
  EXPECT_EQ(result.signal, SIGTERM);
  EXPECT_EQ(result.token_steps, 2);
}

TEST(Blocks, StopEarly) {
  World world = test::letters_world();
  world.options.particles = 90;
  world.options.batch_size = 1;
  world.options.early_stop = 0.4;
  const RunResult expected = run_alone(world);
  ASSERT_EQ(expected.reason, FinishReason::early_stop);
  for (const int ranks : {1, 3})
    EXPECT_EQ(test::without_ids(result_of(run_in_blocks(world, no_deadlines(ranks)))), test::without_ids(expected));
}

TEST(Blocks, DieOutWithTheCulprit) {
  World world = test::letters_world();
  world.potentials.push_back(std::make_shared<test::TextPotential>(
      "doomed", [](const std::string& text) { return text.size() < 3 ? 1.0 : 0.0; },
      [](const std::string&) { return 0.0; }));
  const RunResult expected = run_alone(world);
  ASSERT_EQ(expected.reason, FinishReason::extinct);
  for (const int ranks : {1, 3})
    EXPECT_EQ(test::without_ids(result_of(run_in_blocks(world, no_deadlines(ranks)))), test::without_ids(expected));
}

TEST(Blocks, ABadWeightFailsAllRanksAndNamesTheParticle) {
  World world = test::letters_world();
  world.potentials = {std::make_shared<test::TextPotential>(
      "odd", [](const std::string& text) { return text == "b" ? std::nan("") : 1.0; },
      [](const std::string&) { return 1.0; })};
  const auto vectors = test::run_on_ranks(no_deadlines(2), [&](Transport& transport) {
    return run(world.model, {}, world.potentials, world.options, transport);
  });
  ASSERT_NE(vectors[0].message().find("has a weight of NaN"), std::string::npos) << vectors[0].message();
  for (const auto& outcome : run_in_blocks(world, no_deadlines(2))) EXPECT_EQ(outcome.message(), vectors[0].message());
}

TEST(Blocks, ARankThatFailsEndsTheRunOnAll) {
  World world = test::letters_world();
  world.potentials = {std::make_shared<test::TextPotential>(
      "weather", [](const std::string& text) { return text == "bb" ? throw ModelError("bad weather") : 1.0; },
      [](const std::string&) { return 1.0; })};
  world.options.particles = 2;  // of which one comes to it
  world.options.max_tokens = 20;
  int failures = 0;
  for (world.options.seed = 0; world.options.seed < 20; ++world.options.seed) {
    const auto outcomes = run_in_blocks(world, no_deadlines(2));
    EXPECT_EQ(outcomes[0].message().empty(), outcomes[1].message().empty());
    if (!outcomes[0].message().empty()) ++failures;
  }
  EXPECT_GT(failures, 0);
}

}  // namespace
}  // namespace shoal::smc
