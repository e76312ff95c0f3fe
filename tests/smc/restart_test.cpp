// A run that goes on from a saved state ends in the same bits as the one that was never interrupted.
#include <gtest/gtest.h>

#include <csignal>

#include "base/signals.hpp"
#include "cluster/run_record.hpp"
#include "shoal/error.hpp"
#include "smc/context_rebuild.hpp"
#include "smc/thread_cluster.hpp"
#include "smc/toy_worlds.hpp"

namespace shoal::smc {
namespace {

using test::token;
using test::World;

/// What the observer saw, one text per batch.
class BatchTexts final : public Observer {
 public:
  void on_batch(const BatchRecord& record) override {
    test::Recorder one;
    one.on_batch(record);
    texts.push_back(one.text());
  }
  std::vector<std::string> texts;
};

/// Keeps every state it is given.
class KeptStates final : public Checkpointer {
 public:
  explicit KeptStates(bool every_batch = true) : every_batch_(every_batch) {}
  bool due() override { return every_batch_; }
  void write(const RunState& state) override { states.push_back(run_state_from(to_bytes(state))); }
  std::vector<RunState> states;

 private:
  bool every_batch_;
};

struct Told {
  std::string answer;
  std::vector<std::string> batches;
  std::vector<RunState> states;
};

/// One run over as many ranks as there are entries in @p tokens_until_deadline.
Told tell(const World& world, const std::vector<int>& tokens_until_deadline, const RunState* start = nullptr,
          bool every_batch = true) {
  BatchTexts observer;
  KeptStates kept(every_batch);
  const auto outcomes = test::run_on_ranks(tokens_until_deadline, [&](Transport& transport) {
    const bool root = transport.rank() == Rank{0};
    return run(
        world.model, {}, world.potentials, world.options, transport,
        Attachments{.observer = root ? &observer : nullptr, .checkpointer = root ? &kept : nullptr, .start = start});
  });
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.message(), "");
  return {test::describe(outcomes.front().result), observer.texts, kept.states};
}

std::vector<int> without_deadline(int ranks) {
  return std::vector<int>(static_cast<std::size_t>(ranks), test::no_deadline);
}

void expect_goes_on(const World& world, const RunState& state, const Told& whole, int ranks) {
  const Told rest = tell(world, without_deadline(ranks), &state);
  EXPECT_EQ(rest.answer, whole.answer);
  const std::vector<std::string> tail(whole.batches.begin() + state.batches, whole.batches.end());
  EXPECT_EQ(rest.batches, tail);
}

std::vector<World> worlds() {
  std::vector<World> worlds;
  for (World& world : test::all_worlds()) {
    for (const bool in_blocks : {false, true}) {
      for (const int batch_size : {1, 2}) {
        world.options.particles = 13;
        world.options.batch_size = batch_size;
        world.options.max_tokens = 7;
        world.options.ess_threshold = batch_size == 1 ? 2.0 : 0.7;
        world.options.most_in_vectors = in_blocks ? 0 : 13;
        worlds.push_back(world);
      }
    }
  }
  return worlds;
}

std::string name_of(const World& world) {
  return world.name + ", batches of " + std::to_string(world.options.batch_size) +
         (weighed_in_blocks(world.options) ? ", in blocks" : "");
}

TEST(Restart, FromAnyBatchOnAnyNumberOfRanksEndsInTheSameBits) {
  std::size_t states = 0;
  for (const World& world : worlds()) {
    SCOPED_TRACE(name_of(world));
    const Told whole = tell(world, without_deadline(2));
    states += whole.states.size();
    for (const RunState& state : whole.states)
      for (const int ranks : {1, 2, 3}) expect_goes_on(world, state, whole, ranks);
  }
  EXPECT_GT(states, 20U);
}

TEST(Restart, FromABatchThatWasCutShortEndsInTheSameBits) {
  for (const World& world : worlds()) {
    SCOPED_TRACE(name_of(world));
    const Told whole = tell(world, without_deadline(1));
    for (const int tokens : {0, 1, 2, 3, 5}) {
      const Told cut = tell(world, {tokens, tokens + 1}, nullptr, false);
      if (cut.states.empty()) continue;  // it ended before
      ASSERT_EQ(cut.states.size(), 1U);
      // A rank whose particles have all ended does not look at its clock: in blocks that may be the first.
      const int whole_batches = tokens / world.options.batch_size * world.options.batch_size;
      EXPECT_GE(cut.states[0].steps, static_cast<unsigned>(whole_batches));
      if (!weighed_in_blocks(world.options)) {
        EXPECT_EQ(cut.states[0].steps, static_cast<unsigned>(whole_batches));
      }
      for (const int ranks : {1, 3}) expect_goes_on(world, cut.states[0], whole, ranks);
    }
  }
}

TEST(Restart, ARunThatDiesOutSaysTheSameFromAnyBatch) {
  const auto short_lived = [](const std::string& text) { return text.size() <= 4 + text.find('b') % 3 ? 1.0 : 0.0; };
  const test::ToyModel endless({"a", "b"}, {}, [](std::span<const TokenId>) { return std::vector{1.0, 2.0}; });
  for (const Cost cost : {Cost::cheap, Cost::expensive}) {
    const World world{"extinct",
                      endless,
                      {test::likes_a(), std::make_shared<test::TextPotential>("short", short_lived, short_lived, cost)},
                      {.particles = 9, .batch_size = 2, .max_tokens = 50, .ess_threshold = 0.0}};
    const Told whole = tell(world, without_deadline(1));
    EXPECT_NE(whole.answer.find("extinct by short"), std::string::npos) << whole.answer;
    EXPECT_GE(whole.states.size(), 2U);
    for (const RunState& state : whole.states) expect_goes_on(world, state, whole, 2);
  }
}

TEST(Restart, MayBeRepeated) {
  const World world = worlds().back();
  const Told whole = tell(world, without_deadline(1));
  RunState state = tell(world, {1, 1}, nullptr, false).states.front();
  for (const int ranks : {3, 1, 2}) {
    const Told part = tell(world, std::vector<int>(static_cast<std::size_t>(ranks), 2), &state, false);
    if (part.states.empty()) break;
    state = part.states.front();
  }
  EXPECT_GT(state.steps, 2U);
  expect_goes_on(world, state, whole, 2);
}

TEST(Restart, TheSameStateIsWrittenOnce) {
  World world = worlds().back();
  const Told cut = tell(world, {2, 2});  // due after every batch, and again at the end
  EXPECT_EQ(cut.states.size(), 1U);
}

TEST(Restart, SigUsr1AsksForTheStateOnce) {
  const test::ToyModel model({"a", ""}, {token(1)}, [](std::span<const TokenId> tokens) -> std::vector<double> {
    if (tokens.size() == 3) std::raise(SIGUSR1);
    return {1.0, 0.0};
  });
  const ScopedSignals signals;
  const World world{"signal", model, {}, {.particles = 3, .batch_size = 2, .max_tokens = 12}};
  const Told told = tell(world, {test::no_deadline}, nullptr, false);
  ASSERT_EQ(told.states.size(), 1U);
  EXPECT_EQ(told.states[0].steps, 4U);
}

TEST(Restart, TimesAndTotalsGoOn) {
  const World world = worlds().front();
  RunState state = tell(world, without_deadline(1)).states.front();
  state.elapsed_s = 1000.0;
  state.times = {.decode_s = 100.0, .trace_s = 7.0, .checkpoint_s = 3.0};
  state.migration.moved = 12345;
  SingleProcess alone;
  const RunResult result = run(world.model, {}, world.potentials, world.options, alone, Attachments{.start = &state});
  EXPECT_GT(result.wall_s, 1000.0);
  EXPECT_GT(result.times.decode_s, 100.0);
  EXPECT_GE(result.times.trace_s, 7.0);
  EXPECT_EQ(result.migration.moved, 12345U);
}

TEST(Restart, AStateOfAnotherRunIsRefused) {
  const World world = worlds().front();
  const RunState good = tell(world, without_deadline(1)).states.front();
  const auto error_of = [&](const RunState& state) {
    const auto outcomes = test::run_on_ranks(without_deadline(2), [&](Transport& transport) {
      return run(world.model, {}, world.potentials, world.options, transport, Attachments{.start = &state});
    });
    return outcomes[1].message();
  };
  RunState fewer = good;
  fewer.history_of.pop_back();
  RunState foreign_token = good;
  foreign_token.histories[1].tokens.push_back(token(77));
  RunState without_values = good;
  without_values.histories[0].values.clear();
  RunState without_history = good;
  without_history.history_of[3] = static_cast<std::uint32_t>(good.histories.size());
  for (const RunState& bad : {fewer, foreign_token, without_values, without_history})
    EXPECT_NE(error_of(bad).find("not one of this run"), std::string::npos);
}

class FullDisk final : public Checkpointer {
 public:
  bool due() override { return true; }
  void write(const RunState&) override { throw IoError("disk full"); }
};

TEST(Restart, AStateThatCannotBeWrittenFailsAllRanks) {
  const World world = worlds().front();
  FullDisk disk;
  const auto outcomes = test::run_on_ranks(without_deadline(2), [&](Transport& transport) {
    return run(world.model, {}, world.potentials, world.options, transport, Attachments{.checkpointer = &disk});
  });
  EXPECT_EQ(outcomes[0].message(), "disk full");
  EXPECT_NE(outcomes[1].message().find("rank 0 failed"), std::string::npos);
}

// ---------------------------------------------------------------------------------------------- contexts

/// Counts what is computed.
class CountingTree final : public ContextTree {
 public:
  explicit CountingTree(std::unique_ptr<ContextTree> tree) : tree_(std::move(tree)) {}
  [[nodiscard]] ContextId root() const override { return tree_->root(); }
  ContextId extend(ContextId parent, TokenId id) override { return tree_->extend(parent, id); }
  void retain(ContextId context) override { tree_->retain(context); }
  void release(ContextId context) override { tree_->release(context); }
  void forward(std::span<const ContextId> contexts, std::span<float> logits) override {
    for (const ContextId context : contexts) forwarded.push_back(tokens_of(context));
    tree_->forward(contexts, logits);
  }
  ContextId insert(std::span<const TokenId> tokens) override { return tree_->insert(tokens); }
  [[nodiscard]] std::size_t live_contexts() const override { return tree_->live_contexts(); }
  [[nodiscard]] std::size_t live_blocks() const override { return tree_->live_blocks(); }

  [[nodiscard]] std::vector<TokenId> tokens_of(ContextId context) const {
    const std::string packed = tree_->pack(context, 0, tree_->computed(context));
    std::vector<TokenId> tokens(packed.size() / sizeof(TokenId));
    std::copy(packed.begin(), packed.end(), reinterpret_cast<char*>(tokens.data()));
    return tokens;
  }

  std::vector<std::vector<TokenId>> forwarded;

 private:
  std::unique_ptr<ContextTree> tree_;
};

std::vector<TokenId> letters(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const char c : text) tokens.push_back(token(c - 'a'));
  return tokens;
}

TEST(RebuildContexts, ComputesEachSharedPartOnceAndBeforeWhatFollows) {
  const test::ToyModel model = test::letters_model();
  CountingTree tree(model.open({}, {}));
  const std::vector<std::vector<TokenId>> texts{letters("aabba"), letters("aabca"), letters("aabba"),
                                                letters("aabbc"), letters("c"),     letters("")};
  const std::vector<std::span<const TokenId>> sequences(texts.begin(), texts.end());

  const auto contexts = rebuild_contexts(&tree, 4, sequences);

  // Without the last tokens: aabb, aabc and nothing. They part after aab.
  const std::vector<std::vector<TokenId>> expected{letters("aab"), letters("aabb"), letters("aabc")};
  EXPECT_EQ(tree.forwarded, expected);
  ASSERT_EQ(contexts.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(tree.tokens_of(contexts[i].id()), texts[i]);
  EXPECT_EQ(contexts[0].id(), contexts[2].id());
}

TEST(RebuildContexts, OfNothingIsNothing) {
  const test::ToyModel model = test::letters_model();
  CountingTree tree(model.open({}, {}));
  EXPECT_TRUE(rebuild_contexts(&tree, 4, {}).empty());
  EXPECT_TRUE(tree.forwarded.empty());
}

}  // namespace
}  // namespace shoal::smc
