// Runs on a model whose processor draws by itself: the same answers as where the run loop draws from the logits.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "smc/other_trees.hpp"
#include "smc/run.hpp"
#include "smc/token_distribution.hpp"
#include "smc/toy_worlds.hpp"

namespace shoal::smc {
namespace {

/// Draws as a GPU does, with the run loop's own distribution.
class DrawingTree final : public ContextTree {
 public:
  DrawingTree(const Vocabulary& vocabulary, std::unique_ptr<ContextTree> tree, int* sampled, bool* at_work)
      : vocabulary_(vocabulary), tree_(std::move(tree)), sampled_(sampled), at_work_(at_work) {}

  [[nodiscard]] ContextId root() const override { return tree_->root(); }
  ContextId extend(ContextId parent, TokenId token) override { return tree_->extend(parent, token); }
  void retain(ContextId context) override { tree_->retain(context); }
  void release(ContextId context) override { tree_->release(context); }
  void forward(std::span<const ContextId> contexts, std::span<float> logits) override {
    EXPECT_TRUE(under_way_.empty()) << "a pass while another is under way";
    tree_->forward(contexts, logits);
  }
  [[nodiscard]] bool can_sample() const override { return true; }
  void start_sampling(const Sampling& how, std::span<ContextDraws> draws) override {
    EXPECT_TRUE(under_way_.empty()) << "two passes at a time";
    how_ = how;
    under_way_ = draws;
    *at_work_ = true;
  }
  void finish_sampling() override {
    *at_work_ = false;
    for (ContextDraws& one : std::exchange(under_way_, {})) {
      std::vector<float> logits(static_cast<std::size_t>(vocabulary_.size()));
      tree_->forward({&one.context, 1}, logits);
      const TokenDistribution q(logits, vocabulary_, *one.allowed, how_.temperature,
                                {how_.top_k, how_.top_p, how_.min_p});
      one.log_mass = q.log_mass();
      one.log_end = q.log_end();
      if (std::isfinite(q.log_mass()))
        for (const double u : one.uniforms) one.tokens.push_back(q.draw(u));
      ++*sampled_;
    }
  }
  ContextId insert(std::span<const TokenId> tokens) override { return tree_->insert(tokens); }
  [[nodiscard]] std::size_t live_contexts() const override { return tree_->live_contexts(); }
  [[nodiscard]] std::size_t live_blocks() const override { return tree_->live_blocks(); }

 private:
  const Vocabulary& vocabulary_;
  std::unique_ptr<ContextTree> tree_;
  int* sampled_;
  bool* at_work_;
  Sampling how_;
  std::span<ContextDraws> under_way_;
};

class DrawingModel final : public test::OtherTrees {
 public:
  using OtherTrees::OtherTrees;
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt,
                                                  ContextLimits limits) const override {
    return std::make_unique<DrawingTree>(vocabulary(), model_.open(prompt, limits), &sampled, &at_work);
  }

  mutable int sampled = 0;
  mutable bool at_work = false;
};

void expect_same_run(const test::World& world) {
  SingleProcess alone;
  const DrawingModel drawing(world.model);

  const RunResult here = run(world.model, {}, world.potentials, world.options, alone);
  const RunResult there = run(drawing, {}, world.potentials, world.options, alone);

  EXPECT_GT(drawing.sampled, 0);
  EXPECT_EQ(there.particle_tokens, here.particle_tokens);
  EXPECT_EQ(there.reason, here.reason);
  EXPECT_EQ(there.extinct_by, here.extinct_by);
  EXPECT_TRUE(there.log_z == here.log_z);
  ASSERT_EQ(there.particles.size(), here.particles.size());
  for (std::size_t i = 0; i < here.particles.size(); ++i) {
    EXPECT_EQ(there.particles[i].text, here.particles[i].text);
    EXPECT_EQ(there.particles[i].log_weight, here.particles[i].log_weight);
  }
}

TEST(DeviceDraws, GiveTheAnswerOfTheRunLoopsOwnInAnyNumberOfParts) {
  for (test::World world : test::all_worlds()) {
    for (const auto& [parts, batch_size] : {std::pair{1, 3}, {2, 1}, {2, 3}, {50, 3}}) {
      SCOPED_TRACE(world.name + ", parts " + std::to_string(parts) + ", batches of " + std::to_string(batch_size));
      world.options.particles = 60;
      world.options.micro_batches = parts;
      world.options.batch_size = batch_size;
      expect_same_run(world);
    }
  }
}

TEST(DeviceDraws, PotentialsRunBesideThePassesOfOtherParts) {
  const test::ToyModel letters = test::letters_model();
  const DrawingModel drawing(letters);
  for (const int parts : {1, 2}) {
    std::atomic<int> beside = 0, alone = 0;
    const auto count = [&](const std::string&) {
      ++(drawing.at_work ? beside : alone);
      return 1.0;
    };
    const std::vector<PotentialPtr> potentials{std::make_shared<test::TextPotential>("count", count, count)};
    SingleProcess transport;
    (void)run(drawing, {}, potentials,
              {.particles = 200, .batch_size = 50, .max_tokens = 50, .micro_batches = parts, .seed = 2}, transport);
    EXPECT_GT(alone.load(), 0);
    EXPECT_EQ(beside > 0, parts > 1);
  }
}

TEST(DeviceDraws, AnExtinctionNamesThePotential) {
  const auto masked = std::make_shared<test::MaskedTextPotential>(
      "masked", [](const std::string& text) { return text.size() <= 2 ? 1.0 : 0.0; },
      [](const std::string&) { return 0.0; });
  expect_same_run({"extinct", test::letters_model(), {test::likes_a(), masked}, {}});
}

}  // namespace
}  // namespace shoal::smc
