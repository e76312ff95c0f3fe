// The scale model against what can be said without it.
#include "scale_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "scale_network.hpp"
#include "smc/transport.hpp"
#include "synthetic_run.hpp"

namespace shoal::bench {
namespace {

trace::Trace some_trace() {
  return trace::testing::synthetic_trace({.particles = 64, .batches = 12, .ess_threshold = 0.9});
}

/// 4 particles, two batches; after the first the particles 0 and 3 have two children each.
Recording small_recording() {
  Recording recording{.particles = 4, .batches = {}};
  const std::vector<std::vector<std::uint32_t>> each{{0}, {1}, {2}, {3}};
  recording.batches.push_back({.increment = {0, -1e9, -1e9, 0},
                               .finished = {0, 0, 0, 0},
                               .ancestor = {0, 0, 3, 3},
                               .successors = {{0, 1}, {}, {}, {2, 3}},
                               .tokens = 16,
                               .resampled = true});
  recording.batches.push_back({.increment = {0, 0, 0, 0},
                               .finished = {0, 0, 0, 0},
                               .ancestor = {0, 1, 2, 3},
                               .successors = each,
                               .tokens = 16,
                               .resampled = false});
  return recording;
}

// ---------------------------------------------------------------------------------------------- the network

/// Nodes of two ranks; cards of 10 bytes a second, 40 inside nodes.
std::vector<double> times(const std::vector<Parcel>& parcels, double looks_every = 0.0) {
  const std::vector<int> nodes{0, 0, 1, 1, 2, 2};
  return arrivals(parcels, {nodes, 1.0, 10.0, 40.0}, [&](std::size_t /*rank*/, double time) {
    return looks_every > 0.0 ? std::ceil(time / looks_every) * looks_every : time;
  });
}

TEST(ScaleNetwork, AParcelTakesItsBytesAndBetweenNodesTheLatency) {
  EXPECT_EQ(times({{0, 2, 20}}), (std::vector<double>{3}));
  EXPECT_EQ(times({{0, 1, 20}}), (std::vector<double>{0.5}));
  EXPECT_EQ(times({}), (std::vector<double>{}));
}

TEST(ScaleNetwork, ParcelsThatLeaveOrReachTheSameCardShareIt) {
  EXPECT_EQ(times({{0, 2, 20}, {1, 4, 20}}), (std::vector<double>{5, 5}));  // one card sends both
  EXPECT_EQ(times({{0, 4, 20}, {2, 5, 20}}), (std::vector<double>{5, 5}));  // one card receives both
  EXPECT_EQ(times({{0, 2, 20}, {2, 0, 20}}), (std::vector<double>{3, 3}));  // each way by itself
  EXPECT_EQ(times({{0, 2, 20}, {0, 1, 40}}), (std::vector<double>{3, 1}));
  EXPECT_EQ(times({{0, 2, 10}, {0, 4, 30}}), (std::vector<double>{3, 5}));  // the larger has the card when one is done
}

TEST(ScaleNetwork, WhatIsRelayedLeavesWhenItsSenderHasItAndLooks) {
  EXPECT_EQ(times({{2, 4, 10, 1}, {0, 2, 20}}), (std::vector<double>{5, 3}));
  EXPECT_EQ(times({{2, 4, 10, 1}, {0, 2, 20}}, 4.0), (std::vector<double>{6, 3}));
}

// ---------------------------------------------------------------------------------------------- runs

TEST(ScaleModel, ABalancedGenealogyMovesNothingAndTakesTheTimeOfItsTokens) {
  const Machine machine{.step_s = 1e-3, .particle_s = 1e-4};
  const ModelledTime t = replay(small_recording(), machine, 4, 2, 0.5, 1);
  EXPECT_EQ(t.resamplings, 1);
  EXPECT_EQ(t.moved, 0U);
  EXPECT_EQ(t.bytes, 0U);
  EXPECT_NEAR(t.decode_s, 32 * (1e-3 + 2 * 1e-4), 1e-9);
}

TEST(ScaleModel, OneSurvivorSendsItsMissingBlocksToEveryOtherRank) {
  Recording recording = small_recording();
  recording.batches[0].ancestor = {3, 3, 3, 3};
  recording.batches[0].successors = {{}, {}, {}, {0, 1, 2, 3}};
  Machine machine{.kv_bytes = 10, .particle_bytes = 100, .prompt_tokens = 20, .spare = 0.0};
  const ModelledTime t = replay(recording, machine, 4, 4, 0.5, 1);
  EXPECT_EQ(t.moved, 3U);
  EXPECT_EQ(t.sent, 3U);
  // 36 tokens are 3 blocks, of which the prompt's first is everywhere.
  EXPECT_EQ(t.bytes, 3U * (100 + 2 * 16 * 10));
  EXPECT_EQ(t.most_bytes_of_rank, 2U * (100 + 2 * 16 * 10));  // the third is relayed
  machine.relays = false;
  EXPECT_EQ(replay(recording, machine, 4, 4, 0.5, 1).most_bytes_of_rank, 3U * (100 + 2 * 16 * 10));
}

TEST(ScaleModel, RelaysPayWhereOneOfManySurvives) {
  const Recording recording = with_survivors(recording_of(some_trace()), 1);
  Machine machine{.ranks_per_node = 4};
  const ModelledTime relayed = replay(recording, machine, 64, 64, 0.5, 1);
  machine.relays = false;
  const ModelledTime from_one = replay(recording, machine, 64, 64, 0.5, 1);
  EXPECT_EQ(relayed.resamplings, 1);
  EXPECT_EQ(relayed.moved, 63U);
  EXPECT_EQ(relayed.bytes, from_one.bytes);
  EXPECT_LT(relayed.migrate_s, 0.3 * from_one.migrate_s);
}

TEST(ScaleModel, ExportsByTheFewestMissingBlocksAreABound) {
  const Recording recording = recording_of(some_trace());
  Machine machine;
  const ModelledTime planned = replay(recording, machine, 64, 8, 0.9, 1);
  machine.fewest_blocks = true;
  const ModelledTime fewest = replay(recording, machine, 64, 8, 0.9, 1);
  ASSERT_GT(planned.bytes, 0U);
  EXPECT_LE(fewest.bytes, planned.bytes);
  EXPECT_EQ(fewest.moved, planned.moved);
}

TEST(ScaleModel, ThoseWhoComeLateCatchUpInPassesOfTheirOwn) {
  Recording recording = small_recording();
  recording.batches[0].ancestor = {0, 0, 0, 2};  // rank 0 has three children, rank 1 one: one moves
  recording.batches[0].successors = {{0, 1, 2}, {}, {3}, {}};
  Machine machine{.ranks_per_node = 2, .latency_s = 0.0, .kv_bytes = 100, .particle_bytes = 0, .prompt_tokens = 0};
  machine.step_s = 1.0;
  machine.particle_s = 0.5;
  machine.node_bandwidth = 100.0 * 16 / 2.0;  // the block travels for 2 s
  const ModelledTime t = replay(recording, machine, 4, 2, 0.5, 1);
  EXPECT_EQ(t.moved, 1U);
  EXPECT_NEAR(t.decode_s, 2 * 16 * 2.0, 1e-9);
  // Rank 1 waits for 0.25 steps of 2 s, makes a token with its resident, a pass for the late one, and 15 with both.
  EXPECT_NEAR(t.exposed_s, 0.5 + 1.5 + 1.5 + 15 * 2.0 - 16 * 2.0, 1e-6);
}

TEST(ScaleModel, ALineageInCommonNeedsNotTravel) {
  Recording recording = small_recording();
  recording.batches[0].ancestor = {0, 0, 0, 0};  // all have the first 16 tokens in common
  recording.batches[0].successors = {{0, 1, 2, 3}, {}, {}, {}};
  recording.batches[1].ancestor = {0, 0, 0, 3};  // three children on the rank of one
  recording.batches[1].successors = {{0, 1, 2}, {}, {}, {3}};
  recording.batches[1].resampled = true;
  recording.batches.push_back(small_recording().batches[1]);
  const Machine machine{.kv_bytes = 10, .particle_bytes = 100, .prompt_tokens = 16, .spare = 0.0};
  const ModelledTime t = replay(recording, machine, 4, 2, 0.5, 1);
  // After batch 0 one state goes to the other rank: 1 block. After batch 1 one of 3 blocks; 2 are there.
  EXPECT_EQ(t.sent, 2U);
  EXPECT_EQ(t.bytes, 2U * (100 + 16 * 10));
}

TEST(ScaleModel, SlowNetworksExposeMigrationAndFastOnesHideIt) {
  const Recording recording = recording_of(some_trace());
  Machine machine;
  machine.latency_s = 0.0;
  machine.bandwidth = machine.node_bandwidth = 1e6;
  const ModelledTime slow = replay(recording, machine, 64, 16, 0.5, 1);
  machine.bandwidth = machine.node_bandwidth = 1e15;
  const ModelledTime fast = replay(recording, machine, 64, 16, 0.5, 1);
  ASSERT_GT(slow.moved, 0U);
  EXPECT_EQ(slow.bytes, fast.bytes);
  EXPECT_GT(slow.exposed_s, slow.decode_s);
  EXPECT_LT(fast.exposed_s, fast.migrate_s + fast.resamplings * machine.step_s * 1.001);
}

TEST(ScaleModel, OneRankHasNothingToSend) {
  const ModelledTime t = replay(recording_of(some_trace()), {}, 500, 1, 0.9, 1);
  EXPECT_GT(t.resamplings, 0);
  EXPECT_EQ(t.moved, 0U);
  EXPECT_EQ(t.exposed_s, 0.0);
}

TEST(ScaleModel, LargerPopulationsResampleAboutAsOftenAsTheRecordedOne) {
  const Recording recording = recording_of(some_trace());
  const ModelledTime recorded = replay(recording, {}, 64, 8, 0.9, 1);
  const ModelledTime larger = replay(recording, {}, 6400, 8, 0.9, 1);
  ASSERT_GT(recorded.resamplings, 2);
  EXPECT_NEAR(larger.resamplings, recorded.resamplings, 3);
  EXPECT_LE(larger.moved_between_nodes, larger.moved);
}

}  // namespace
}  // namespace shoal::bench
