// What a migration brings, that only missing blocks travel, and that those who stay decode meanwhile.
#include "smc/migration.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>

#include "smc/breaking_model.hpp"
#include "smc/decoding.hpp"
#include "smc/thread_cluster.hpp"

namespace shoal::smc {
namespace {

using test::token;

// ---------------------------------------------------------------------------------------------- what arrives

/// All particles of rank 0 that live, each to rank 1 under its own id.
std::vector<Transfer> all_to_rank_1(const Population& population) {
  std::vector<Transfer> transfers;
  for (const LogicalId id : population.ids())
    if (population.at(id).status != Status::dead) transfers.push_back({id, Rank{0}, Rank{1}});
  return transfers;
}

void expect_child(const History& child, const History& parent) {
  EXPECT_EQ(child.log_weight, -1.5);
  EXPECT_EQ(child.status, parent.status);
  EXPECT_EQ(child.tokens, parent.tokens);
  EXPECT_EQ(child.text, parent.text);
  EXPECT_EQ(child.states, parent.states);
  EXPECT_EQ(child.values, parent.values);
  EXPECT_EQ(child.stop_state, parent.stop_state);
  EXPECT_EQ(child.start.states, parent.start.states);
  EXPECT_EQ(static_cast<bool>(child.context), child.status == Status::growing);
  EXPECT_FALSE(child.waiting);
}

class Migrations : public testing::TestWithParam<Migrate> {};

TEST_P(Migrations, ChildrenOnAnotherRankHaveAllThatTheirParentHad) {
  for (const test::World& world : test::all_worlds()) {
    test::Decoding here(world);
    here.advance(0, 2);
    here.begin_batch();
    const std::vector<Transfer> transfers = all_to_rank_1(here.population);
    const auto outcomes = test::run_on_ranks({test::no_deadline, test::no_deadline}, [&](Transport& transport) {
      test::Decoding there(world);
      const bool sends = transport.rank() == Rank{0};
      Population* population = sends ? &here.population : &there.population;
      Migration migration(transfers, *population, sends ? here.tree.get() : there.tree.get(), &transport);
      if (!sends) population->keep_parents({});
      migration.trade(GetParam(), static_cast<std::size_t>(world.model.vocabulary().size()));
      if (migration.failure()) std::rethrow_exception(migration.failure());
      migration.ship();
      std::vector<Birth> births;
      for (const Transfer& transfer : transfers) births.push_back({transfer.parent, transfer.parent});
      if (!sends) population->rebuild(births, migration.take_arrivals(), -1.5);
      migration.wait([] { return false; });
      EXPECT_TRUE(migration.poll());
      population->end_waiting();
      if (sends) return RunResult();
      EXPECT_EQ(population->ids().size(), births.size());
      for (const LogicalId id : population->ids()) expect_child(population->at(id), here.population.at(id));
      there.advance(2, 4);  // stands on usable contexts
      return RunResult();
    });
    for (const auto& outcome : outcomes) EXPECT_EQ(outcome.message(), "");
  }
}

/// Rank 0 has it, 1 and 2 relay, 3 and 4 receive it from them.
std::vector<Transfer> chain_of(LogicalId parent) {
  return {{parent, Rank{0}, Rank{1}},
          {parent, Rank{1}, Rank{2}, true},
          {parent, Rank{1}, Rank{3}, true},
          {parent, Rank{2}, Rank{4}, true}};
}

TEST_P(Migrations, WhatIsRelayedIsWhatTheParentHad) {
  for (const test::World& world : test::all_worlds()) {
    test::Decoding here(world);
    here.advance(0, 3);
    here.begin_batch();
    LogicalId parent{0};
    for (const LogicalId id : here.population.ids())
      if (here.population.at(id).status == Status::growing) parent = id;
    const std::vector<int> ranks(5, test::no_deadline);
    const auto outcomes = test::run_on_ranks(ranks, [&](Transport& transport) {
      test::Decoding there(world);
      const bool has_it = transport.rank() == Rank{0};
      Migration migration(chain_of(parent), has_it ? here.population : there.population,
                          has_it ? here.tree.get() : there.tree.get(), &transport);
      if (!has_it) there.population.keep_parents({});
      migration.trade(GetParam(), static_cast<std::size_t>(world.model.vocabulary().size()));
      if (migration.failure()) std::rethrow_exception(migration.failure());
      migration.ship();
      if (has_it) return RunResult();
      const std::vector<Birth> births{{parent, parent}};
      there.population.rebuild(births, migration.take_arrivals(), -1.5);
      migration.wait([] { return false; });
      EXPECT_TRUE(migration.poll());
      there.population.end_waiting();
      expect_child(there.population.at(parent), here.population.at(parent));
      there.advance(3, 5);
      migration.pass_on();
      EXPECT_FALSE(migration.failure());
      return RunResult();
    });
    for (const auto& outcome : outcomes) EXPECT_EQ(outcome.message(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(By, Migrations, testing::Values(Migrate::key_values, Migrate::tokens),
                         [](const auto& i) { return i.param == Migrate::tokens ? "Tokens" : "KeyValues"; });

// ---------------------------------------------------------------------------------------------- when

constexpr int batch_size = 5;

/// Letters without an end; tells how long the contexts are that each rank (a thread) computes, one after the other.
class Watched {
 public:
  test::ToyModel model() {
    return {{"a", "b", "c", ""}, {token(3)}, [this](std::span<const TokenId> tokens) -> std::vector<double> {
              const std::lock_guard lock(mutex_);
              auto& lengths = lengths_[std::this_thread::get_id()];
              const auto length = static_cast<int>(tokens.size());
              if (lengths.empty() || lengths.back() != length) lengths.push_back(length);
              return {.5, .3, .2, 0};
            }};
  }
  /// By rank in no order.
  [[nodiscard]] std::vector<std::vector<int>> lengths() const {
    std::vector<std::vector<int>> all;
    for (const auto& [thread, lengths] : lengths_) all.push_back(lengths);
    return all;
  }

 private:
  std::mutex mutex_;
  std::map<std::thread::id, std::vector<int>> lengths_;
};

RunResult run_two_batches(const LanguageModel& model, Transport& transport, double patience = 0.0) {
  const std::vector<PotentialPtr> potentials{test::likes_a()};
  return run(model, {}, potentials,
             {.particles = 40,
              .batch_size = batch_size,
              .max_tokens = 2 * batch_size,
              .ess_threshold = 2.0,
              .patience = patience,
              .seed = 3},
             transport);
}

std::vector<double> log_weights(const RunResult& result) {
  std::vector<double> all;
  for (const ParticleResult& particle : result.particles) all.push_back(particle.log_weight);
  return all;
}

/// What a rank computes in the second batch if what it waits for comes when it has made @p late tokens of it.
std::vector<int> second_batch(int late) {
  std::vector<int> lengths;
  for (int t = 0; t < late; ++t) lengths.push_back(batch_size + t);
  for (int t = 0; t < batch_size; ++t) lengths.push_back(batch_size + t);
  lengths.push_back(2 * batch_size);  // the forced end
  return lengths;
}

TEST(Migration, ThoseWhoStayDecodeWhileOthersTravel) {
  SingleProcess alone;
  Watched unwatched;
  const RunResult expected = run_two_batches(unwatched.model(), alone);
  for (const int delay : {0, 2, 3, batch_size, 1000}) {
    Watched watched;
    const test::ToyModel model = watched.model();
    const auto outcomes = test::run_on_ranks(
        {test::no_deadline, test::no_deadline}, [&](Transport& t) { return run_two_batches(model, t); }, delay);
    for (const auto& outcome : outcomes) ASSERT_EQ(outcome.message(), "");
    EXPECT_EQ(log_weights(outcomes[0].result), log_weights(expected));
    EXPECT_GT(outcomes[0].result.migration.sent, 0U);
    for (const auto& lengths : watched.lengths()) {
      ASSERT_GT(lengths.size(), static_cast<std::size_t>(batch_size));
      EXPECT_EQ(std::vector<int>(lengths.begin() + batch_size, lengths.end()),
                second_batch(std::min(delay, batch_size)))
          << "delay " << delay;
    }
  }
}

TEST(Migration, ThoseWhoArePatientWaitForWhatTravels) {
  Watched watched;
  const test::ToyModel model = watched.model();
  const auto outcomes = test::run_on_ranks(
      {test::no_deadline, test::no_deadline}, [&](Transport& t) { return run_two_batches(model, t, 1e9); }, 1000);
  for (const auto& outcome : outcomes) ASSERT_EQ(outcome.message(), "");
  EXPECT_GT(outcomes[0].result.migration.sent, 0U);
  for (const auto& lengths : watched.lengths()) {
    ASSERT_GT(lengths.size(), static_cast<std::size_t>(batch_size));
    EXPECT_EQ(std::vector<int>(lengths.begin() + batch_size, lengths.end()), second_batch(0));
  }
}

TEST(Migration, ADeadlineThatPassesWhileParticlesTravelEndsTheRunAtTheLastTokenThatAllHave) {
  SingleProcess alone;
  for (const int tokens : {batch_size, batch_size + 2}) {
    Watched watched;
    const test::ToyModel model = watched.model();
    const auto outcomes = test::run_on_ranks(
        {tokens, tokens}, [&](Transport& t) { return run_two_batches(model, t); }, 1000);
    for (const auto& outcome : outcomes) {
      ASSERT_EQ(outcome.message(), "");
      EXPECT_EQ(outcome.result.reason, FinishReason::timeout);
      EXPECT_EQ(outcome.result.token_steps, batch_size);
    }
    for (const ParticleResult& particle : outcomes[0].result.particles) EXPECT_EQ(particle.tokens.size(), 5U);
  }
}

/// With the tree of the toy model, where a context's data are its tokens.
TEST(Migration, SendsOnlyWhatTheReceiverLacks) {
  const auto moved = [](Migrate how, const std::vector<double>& next) {
    const test::ToyModel model({"a", "b", "c", ""}, {token(3)}, [&](std::span<const TokenId>) { return next; });
    const auto outcomes = test::run_on_ranks({test::no_deadline, test::no_deadline}, [&](Transport& transport) {
      Options options{.particles = 40, .batch_size = 8, .max_tokens = 24, .ess_threshold = 2.0, .seed = 3};
      options.migrate = how;
      return run(model, {}, std::vector<PotentialPtr>{}, options, transport);
    });
    return outcomes[0].result.migration;
  };
  const std::vector<double> always_a{1, 0, 0, 0};
  const MigrationStats equal = moved(Migrate::key_values, always_a);
  EXPECT_GT(equal.sent, 0U);
  EXPECT_EQ(equal.bytes, moved(Migrate::tokens, always_a).bytes + 12 * equal.sent);  // 12 to ask, nothing to send
  const std::vector<double> mixed{.4, .3, .3, 0};
  const MigrationStats distinct = moved(Migrate::key_values, mixed);
  EXPECT_GT(distinct.bytes, moved(Migrate::tokens, mixed).bytes + 12 * distinct.sent);
}

// ---------------------------------------------------------------------------------------------- what fails

TEST(Migration, ARankThatFailsInTheMiddleOfOneEndsAll) {
  for (const test::Step step : {test::Step::computed, test::Step::expect, test::Step::pack, test::Step::unpack})
    for (const int delay : {0, 2}) {
      Watched watched;
      const test::ToyModel toy = watched.model();
      const test::BreakingModel model(toy, step);
      const auto outcomes = test::run_on_ranks(
          {test::no_deadline, test::no_deadline}, [&](Transport& t) { return run_two_batches(model, t); }, delay);

      const bool first_broke = outcomes[0].message() == "broken";
      EXPECT_EQ(outcomes[first_broke ? 0 : 1].message(), "broken") << static_cast<int>(step);
      EXPECT_NE(outcomes[first_broke ? 1 : 0].message().find("failed"), std::string::npos)
          << outcomes[first_broke ? 1 : 0].message();
    }
}

}  // namespace
}  // namespace shoal::smc
