// What a migration brings, that only missing blocks travel, and that those who stay decode meanwhile.
#include "smc/migration.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>

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

enum class Step { computed, expect, pack, unpack };

/// The first tree that takes the step fails at it.
class BreakingTree final : public ContextTree {
 public:
  BreakingTree(std::unique_ptr<ContextTree> tree, Step step, std::atomic<bool>* broken)
      : tree_(std::move(tree)), step_(step), broken_(broken) {}
  [[nodiscard]] ContextId root() const override { return tree_->root(); }
  ContextId extend(ContextId parent, TokenId token) override { return tree_->extend(parent, token); }
  void retain(ContextId context) override { tree_->retain(context); }
  void release(ContextId context) override { tree_->release(context); }
  void forward(std::span<const ContextId> contexts, std::span<float> logits) override {
    tree_->forward(contexts, logits);
  }
  ContextId insert(std::span<const TokenId> tokens) override { return tree_->insert(tokens); }
  [[nodiscard]] std::uint32_t computed(ContextId context) const override {
    take(Step::computed);
    return tree_->computed(context);
  }
  ExpectedContext expect(std::span<const TokenId> tokens, std::uint32_t computed) override {
    take(Step::expect);
    return tree_->expect(tokens, computed);
  }
  [[nodiscard]] std::string pack(ContextId context, std::uint32_t first_block, std::uint32_t computed) const override {
    take(Step::pack);
    return tree_->pack(context, first_block, computed);
  }
  void unpack(const ExpectedContext& expected, std::string_view packed) override {
    take(Step::unpack);
    tree_->unpack(expected, packed);
  }
  [[nodiscard]] std::size_t live_contexts() const override { return tree_->live_contexts(); }
  [[nodiscard]] std::size_t live_blocks() const override { return tree_->live_blocks(); }

 private:
  void take(Step step) const {
    if (step == step_ && !broken_->exchange(true)) throw std::runtime_error("broken");
  }
  std::unique_ptr<ContextTree> tree_;
  Step step_;
  std::atomic<bool>* broken_;
};

class BreakingModel final : public LanguageModel {
 public:
  BreakingModel(const LanguageModel& model, Step step) : model_(model), step_(step) {}
  [[nodiscard]] const ModelSummary& summary() const override { return model_.summary(); }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return model_.vocabulary(); }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view, SpecialTokens) const override { return {}; }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override { return model_.decode(ids); }
  [[nodiscard]] std::string piece(TokenId id) const override { return model_.piece(id); }
  [[nodiscard]] bool has_chat_template() const override { return false; }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage>) const override { return {}; }
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt,
                                                  ContextLimits limits) const override {
    return std::make_unique<BreakingTree>(model_.open(prompt, limits), step_, &broken_);
  }
  [[nodiscard]] std::vector<double> score(std::span<const TokenId>) const override { return {}; }

 private:
  const LanguageModel& model_;
  Step step_;
  mutable std::atomic<bool> broken_{false};
};

TEST(Migration, ARankThatFailsInTheMiddleOfOneEndsAll) {
  for (const Step step : {Step::computed, Step::expect, Step::pack, Step::unpack})
    for (const int delay : {0, 2}) {
      Watched watched;
      const test::ToyModel toy = watched.model();
      const BreakingModel model(toy, step);
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
