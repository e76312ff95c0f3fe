// The whole run loop over MPI against the one process: the same bits.
#include <gtest/gtest.h>

#include "cluster/mpi_transport.hpp"
#include "cluster/run_record.hpp"
#include "smc/toy_model.hpp"
#include "smc/toy_potentials.hpp"
#include "smc/without_ids.hpp"

namespace shoal::cluster {
namespace {

using smc::Options;
using smc::Resampling;

World& world() { return *World::shared(); }
bool is_root() { return world().rank() == Rank{0}; }

struct Case {
  Options options;
  std::vector<PotentialPtr> potentials;
};

class DistributedRun : public testing::Test {
 protected:
  std::string alone(const Case& c) const {
    smc::SingleProcess transport;
    test::Recorder recorder;
    const auto result = smc::run(model_, {}, c.potentials, c.options, transport, &recorder);
    return recorder.text() + test::describe(result);
  }

  std::string distributed(const Case& c) {
    MpiTransport transport(world(), std::nullopt);
    test::Recorder recorder;
    const auto result = smc::run(model_, {}, c.potentials, c.options, transport, is_root() ? &recorder : nullptr);
    moved_ += result.migration.moved;
    return recorder.text() + test::describe(result);
  }

  void expect_same(const Case& c) {
    const std::string many = distributed(c);
    if (is_root()) {
      EXPECT_EQ(many, alone(c));
    }
  }

  test::ToyModel model_ = test::letters_model();
  std::uint64_t moved_ = 0;
};

TEST_F(DistributedRun, HasTheSameBitsAsOneProcess) {
  for (const int particles : {1, 2, 3, 7, 64}) {
    for (const Resampling scheme :
         {Resampling::multinomial, Resampling::stratified, Resampling::systematic, Resampling::residual}) {
      for (const double threshold : {0.0, 0.5, 2.0}) {
        for (const std::uint64_t seed : {1U, 2U, 3U}) {
          SCOPED_TRACE("N=" + std::to_string(particles) + " scheme " + std::to_string(static_cast<int>(scheme)) +
                       " threshold " + std::to_string(threshold) + " seed " + std::to_string(seed));
          expect_same({.options = {.particles = particles,
                                   .batch_size = static_cast<int>(seed),
                                   .max_tokens = 12,
                                   .resampling = scheme,
                                   .ess_threshold = threshold,
                                   .seed = seed},
                       .potentials = {test::likes_a(seed == 2 ? Cost::expensive : Cost::cheap), test::no_doubles()}});
        }
      }
    }
  }
  EXPECT_EQ(moved_ > 0, world().size() > 1);
}

TEST_F(DistributedRun, HasTheSameBitsInBlocks) {
  for (const Resampling scheme : {Resampling::systematic, Resampling::residual}) {
    for (const int particles : {3, 500}) {
      Case c{.options = {.particles = particles, .batch_size = 2, .max_tokens = 12, .resampling = scheme, .seed = 4},
             .potentials = {test::likes_a(), test::no_doubles()}};
      c.options.ess_threshold = 2.0;
      smc::SingleProcess one;
      const auto expected = smc::run(model_, {}, c.potentials, c.options, one);
      c.options.most_in_vectors = 0;
      MpiTransport transport(world(), std::nullopt);
      const auto result = smc::run(model_, {}, c.potentials, c.options, transport);
      if (is_root()) {
        EXPECT_EQ(test::without_ids(result), test::without_ids(expected)) << particles;
      }
      EXPECT_EQ(result.migration.moved > 0, world().size() > 1);
    }
  }
}

TEST_F(DistributedRun, HasTheSameBitsHoweverParticlesMigrate) {
  for (const smc::Migrate how : {smc::Migrate::key_values, smc::Migrate::tokens}) {
    for (const double spare : {0.0, 0.1, 0.7}) {
      Case c{.options = {.particles = 50, .batch_size = 2, .max_tokens = 20, .ess_threshold = 2.0, .seed = 9},
             .potentials = {test::likes_a(), test::no_doubles()}};
      c.options.migrate = how;
      c.options.spare = spare;
      expect_same(c);
    }
  }
}

TEST_F(DistributedRun, HasTheSameBitsWithEarlyStopping) {
  for (const std::uint64_t seed : {4U, 5U, 6U})
    expect_same({.options = {.particles = 40, .batch_size = 2, .max_tokens = 30, .early_stop = 0.6, .seed = seed},
                 .potentials = {test::likes_a()}});
}

TEST_F(DistributedRun, HasTheSameBitsWhenItDiesOut) {
  const auto doomed = std::make_shared<test::TextPotential>(
      "doomed", [](const std::string& text) { return text.size() < 5 ? 1.0 : 0.0; },
      [](const std::string&) { return 0.0; });
  expect_same({.options = {.particles = 9, .batch_size = 2, .max_tokens = 30, .ess_threshold = 2.0, .seed = 8},
               .potentials = {doomed, test::likes_a()}});
}

/// Throws when its rank evaluates a text of four letters.
PotentialPtr failing_on(Rank rank) {
  const auto score = [rank](const std::string& text) {
    if (world().rank() == rank && text.size() == 4) throw ModelError("bad weather on " + std::to_string(rank.value()));
    return 1.0;
  };
  return std::make_shared<test::TextPotential>("weather", score, score);
}

TEST_F(DistributedRun, FailsOnAllRanksWithTheCause) {
  for (int failing = 0; failing < world().size(); ++failing) {
    MpiTransport transport(world(), std::nullopt);
    const std::vector<PotentialPtr> potentials{failing_on(Rank{failing})};
    try {
      world().together([&] {
        return smc::run(model_, {}, potentials, {.particles = 64, .batch_size = 3, .max_tokens = 12}, transport);
      });
      ADD_FAILURE() << "no error";
    } catch (const AgreedError& e) {
      EXPECT_EQ(e.what(), "bad weather on " + std::to_string(failing));
      EXPECT_EQ(e.code(), ExitCode::model);
    }
  }
}

class FullDisk final : public smc::Observer {
 public:
  explicit FullDisk(std::uint32_t batch) : batch_(batch) {}
  void on_batch(const smc::BatchRecord& record) override {
    if (record.batch == batch_) throw IoError("disk full");
  }

 private:
  std::uint32_t batch_;
};

TEST_F(DistributedRun, AnObserverThatFailsInAnyBatchFailsAllRanks) {
  const Options options{.particles = 10, .batch_size = 2, .max_tokens = 8, .ess_threshold = 2.0};
  for (const std::uint32_t batch : {0U, 1U, 3U}) {
    MpiTransport transport(world(), std::nullopt);
    FullDisk observer(batch);
    try {
      world().together([&] {
        return smc::run(model_, {}, std::vector{test::likes_a()}, options, transport, is_root() ? &observer : nullptr);
      });
      ADD_FAILURE() << "no error in batch " << batch;
    } catch (const AgreedError& e) {
      EXPECT_STREQ(e.what(), "disk full");
    }
  }
}

}  // namespace
}  // namespace shoal::cluster
