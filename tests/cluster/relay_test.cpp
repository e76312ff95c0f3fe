// Whole runs in which one particle's children take all ranks' places at every resampling, so that ranks relay it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cluster/mpi_transport.hpp"
#include "cluster/run_record.hpp"
#include "smc/breaking_model.hpp"
#include "smc/toy_model.hpp"
#include "smc/toy_potentials.hpp"

namespace shoal::cluster {
namespace {

World& world() { return *World::shared(); }
bool is_root() { return world().rank() == Rank{0}; }

/// The text with the largest last three letters outweighs all others.
PotentialPtr one_wins() {
  const auto score = [](const std::string& text) {
    double number = 0.0;
    for (const char letter : text.substr(text.size() - std::min<std::size_t>(3, text.size())))
      number = 3 * number + (letter - 'a');
    return std::exp(20.0 * number);
  };
  return std::make_shared<test::TextPotential>("one wins", score, score);
}

/// Letters without an end.
test::ToyModel endless_model() {
  return {{"a", "b", "c", ""}, {test::token(3)}, [](std::span<const TokenId> tokens) -> std::vector<double> {
            if (!tokens.empty() && tokens.back() == test::token(0)) return {.2, .5, .3, 0};
            return {.5, .25, .25, 0};
          }};
}

/// Counts what is relayed.
class RelayCounter final : public MpiTransport {
 public:
  using MpiTransport::MpiTransport;
  [[nodiscard]] smc::MigrationPlan plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                        double spare) const override {
    auto plan = MpiTransport::plan(ancestors, owners, spare);
    for (const smc::Transfer& transfer : plan.transfers) relayed_ += transfer.relayed ? 1 : 0;
    return plan;
  }
  [[nodiscard]] int relayed() const { return relayed_; }

 private:
  mutable int relayed_ = 0;
};

/// The largest of the ranks' values.
double largest(double value) {
  MpiTransport(world(), std::nullopt).allreduce_max({&value, 1});
  return value;
}

const std::vector<PotentialPtr> potentials{one_wins(), test::likes_a(Cost::expensive)};

smc::Options options_for(int particles_of_rank, smc::Migrate how) {
  smc::Options options{.particles = particles_of_rank * world().size(),
                       .batch_size = 3,
                       .max_tokens = 15,
                       .ess_threshold = 0.9,
                       .spare = 0.0,
                       .seed = 5};
  options.migrate = how;
  return options;
}

TEST(OneSurvivor, ReachesAllRanksByRelayWithTheSameBits) {
  const test::ToyModel model = endless_model();
  for (const smc::Migrate how : {smc::Migrate::key_values, smc::Migrate::tokens}) {
    for (const int particles_of_rank : {1, 3}) {
      const smc::Options options = options_for(particles_of_rank, how);
      RelayCounter transport(world(), std::nullopt);
      test::Recorder recorder;
      const auto result = smc::run(model, {}, potentials, options, transport, is_root() ? &recorder : nullptr);
      EXPECT_EQ(transport.relayed() > 0, world().size() >= 4) << particles_of_rank;
      EXPECT_LE(result.migration.messages, result.batches * static_cast<std::uint64_t>(world().size() - 1));
      if (!is_root()) continue;
      smc::SingleProcess one;
      test::Recorder alone;
      const auto expected = smc::run(model, {}, potentials, options, one, &alone);
      EXPECT_EQ(recorder.text() + test::describe(result), alone.text() + test::describe(expected));
    }
  }
}

/// However far what is relayed has come.
TEST(OneSurvivor, ADeadlineEndsAllRanksAtTheSameToken) {
  const test::ToyModel model = endless_model();
  smc::Options options = options_for(2, smc::Migrate::key_values);
  options.max_tokens = 1'000'000;
  for (const double timeout_s : {0.02, 0.03, 0.041, 0.052}) {
    MpiTransport transport(world(), timeout_s);
    const auto result = smc::run(model, {}, potentials, options, transport);
    EXPECT_EQ(result.reason, smc::FinishReason::timeout);
    EXPECT_EQ(largest(result.log_z), -largest(-result.log_z));
    EXPECT_EQ(largest(result.token_steps), -largest(-result.token_steps));
  }
}

TEST(OneSurvivor, ARankThatFailsToRelayFailsAllRanks) {
  const test::ToyModel model = endless_model();
  const smc::Options options = options_for(1, smc::Migrate::key_values);
  for (const test::Step step : {test::Step::expect, test::Step::pack, test::Step::unpack}) {
    int failures = 0;
    for (int failing = 0; failing < world().size(); ++failing) {
      SCOPED_TRACE("step " + std::to_string(static_cast<int>(step)) + " on rank " + std::to_string(failing));
      const bool fails = world().rank() == Rank{failing};
      const test::BreakingModel breaking(model, fails ? step : test::Step::none);
      MpiTransport transport(world(), std::nullopt);
      std::string what;
      try {
        world().together([&] { return smc::run(breaking, {}, potentials, options, transport); });
      } catch (const AgreedError& e) {
        what = e.what();
      }
      const bool broken = largest(breaking.broken() ? 1.0 : 0.0) > 0.0;
      failures += broken ? 1 : 0;
      EXPECT_EQ(what.find("rank " + std::to_string(failing) + ": broken") != std::string::npos, broken) << what;
    }
    EXPECT_GE(failures, world().size() / 2);
  }
}

}  // namespace
}  // namespace shoal::cluster
