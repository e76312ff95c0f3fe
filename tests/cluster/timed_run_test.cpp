// A run that its deadline ends: all ranks stop at the same token, and the answer is that of a run of so many tokens.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "cluster/mpi_transport.hpp"
#include "cluster/run_record.hpp"
#include "smc/toy_model.hpp"
#include "smc/toy_potentials.hpp"

namespace shoal::cluster {
namespace {

using std::chrono::milliseconds;

World& world() { return *World::shared(); }
bool is_root() { return world().rank() == Rank{0}; }

/// One process that stops after a number of tokens.
class StopAfter final : public smc::Transport {
 public:
  explicit StopAfter(int tokens) : left_(tokens) {}
  [[nodiscard]] Rank rank() const override { return Rank{0}; }
  [[nodiscard]] int size() const override { return 1; }
  void allreduce_max(std::span<double>) override {}
  [[nodiscard]] smc::MigrationPlan plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                        double spare) const override {
    return single_.plan(ancestors, owners, spare);
  }
  std::unique_ptr<smc::Shipment> ship(std::vector<smc::Parcel> outgoing, std::vector<smc::Parcel> incoming) override {
    return single_.ship(std::move(outgoing), std::move(incoming));
  }
  std::vector<std::string> gather(std::string_view mine) override { return single_.gather(mine); }
  bool deadline_passed() override { return left_-- == 0; }

 private:
  smc::SingleProcess single_;
  int left_;
};

/// Letters without an end, each token taking @p delay.
test::ToyModel endless_model(milliseconds delay) {
  return {{"a", "b", "c", ""}, {test::token(3)}, [delay](std::span<const TokenId> tokens) -> std::vector<double> {
            std::this_thread::sleep_for(delay);
            if (!tokens.empty() && tokens.back() == test::token(0)) return {.2, .5, .3, 0};
            return {.5, .25, .25, 0};
          }};
}

const smc::Options options{.particles = 12, .batch_size = 5, .max_tokens = 100'000, .ess_threshold = 0.9, .seed = 3};
const std::vector<PotentialPtr> potentials{test::likes_a()};

void expect_agreed(MpiTransport& transport, double value) {
  std::vector<double> range{value, -value};
  transport.allreduce_max(range);
  EXPECT_EQ(range[0], -range[1]);
}

void expect_stopped_run(const smc::RunResult& result) {
  EXPECT_EQ(result.reason, smc::FinishReason::timeout);
  if (!is_root()) return;
  StopAfter transport(result.token_steps);
  auto alone = smc::run(endless_model(milliseconds(0)), {}, potentials, options, transport);
  alone.particle_tokens = result.particle_tokens;  // counts tokens that were dropped
  EXPECT_EQ(test::describe(result), test::describe(alone));
}

class TimedRun : public testing::TestWithParam<int> {};  // which rank is slow

TEST_P(TimedRun, EndsAtTheSameTokenOnAllRanks) {
  const Rank slow{GetParam() % world().size()};
  const test::ToyModel model = endless_model(milliseconds(world().rank() == slow ? 3 : 0));
  for (const double timeout_s : {0.05, 0.111}) {
    MpiTransport transport(world(), timeout_s);
    const smc::RunResult result = smc::run(model, {}, potentials, options, transport);
    expect_agreed(transport, result.token_steps);
    expect_agreed(transport, result.log_z);
    expect_stopped_run(result);
  }
}

INSTANTIATE_TEST_SUITE_P(SlowRank, TimedRun, testing::Values(0, 1, 3));

TEST(TimedRun, StopsWithinABatchAlthoughRankZeroWaitsAtItsEnd) {
  const test::ToyModel model = endless_model(milliseconds(is_root() && world().size() > 1 ? 0 : 20));
  smc::Options one_batch = options;
  one_batch.particles = world().size();
  one_batch.batch_size = 500;
  MpiTransport transport(world(), 0.1);
  const smc::RunResult result = smc::run(model, {}, potentials, one_batch, transport);
  EXPECT_EQ(result.reason, smc::FinishReason::timeout);
  EXPECT_LT(result.token_steps, 100);
  expect_agreed(transport, result.token_steps);
}

/// Counts the token steps that this rank begins once @p deadline has passed.
test::ToyModel watched_model(milliseconds delay, std::chrono::steady_clock::time_point deadline, int* late_steps) {
  return {{"a", "b", ""}, {test::token(2)}, [=](std::span<const TokenId>) -> std::vector<double> {
            if (std::chrono::steady_clock::now() > deadline) ++*late_steps;
            std::this_thread::sleep_for(delay);
            return {.5, .5, 0};
          }};
}

TEST(TimedRun, OvershootsByTheTokenThatTheSlowestRankHasBegun) {
  const milliseconds step(400);
  const milliseconds grace(200);  // for the message to arrive on a machine with more ranks than cores
  for (int slow = 0; slow < world().size(); ++slow) {
    int late_steps = 0;
    const auto deadline = std::chrono::steady_clock::now() + milliseconds(1000) + grace;
    const test::ToyModel model =
        watched_model(world().rank().value() == slow ? step : milliseconds(0), deadline, &late_steps);
    smc::Options one_each = options;  // so that a step is one call
    one_each.particles = world().size();
    one_each.batch_size = 20;
    MpiTransport transport(world(), 1.0);
    const smc::RunResult result = smc::run(model, {}, potentials, one_each, transport);
    EXPECT_EQ(result.reason, smc::FinishReason::timeout);
    expect_agreed(transport, result.token_steps);
    if (world().rank().value() == slow) {
      EXPECT_EQ(late_steps, 0) << "a token was begun after the deadline";
    }
    EXPECT_LE(result.token_steps, 3);
  }
}

TEST(TimedRun, OfZeroSecondsReturnsTheEmptyTexts) {
  MpiTransport transport(world(), 0.0);
  const smc::RunResult result = smc::run(endless_model(milliseconds(0)), {}, potentials, options, transport);
  expect_agreed(transport, result.token_steps);
  expect_stopped_run(result);
}

TEST(TimedRun, LeavesNothingForTheNextRun) {
  const test::ToyModel model = test::letters_model();
  for (int i = 0; i < 10; ++i) {
    {
      MpiTransport transport(world(), 0.002 * i);
      (void)smc::run(endless_model(milliseconds(0)), {}, potentials, options, transport);
    }
    MpiTransport transport(world(), 3600.0);
    const auto result = smc::run(model, {}, potentials, {.particles = 5, .max_tokens = 10}, transport);
    EXPECT_NE(result.reason, smc::FinishReason::timeout);
  }
}

}  // namespace
}  // namespace shoal::cluster
