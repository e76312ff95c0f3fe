// A model whose tree fails at a chosen step of a migration.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "smc/other_trees.hpp"

namespace shoal::test {

enum class Step { none, computed, expect, pack, unpack };

/// The first tree that takes the step fails at it. Of a rank that failed it accepts the zeros that it sends on.
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
    const bool lost = std::all_of(packed.begin(), packed.end(), [](char c) { return c == 0; });
    tree_->unpack(expected, lost
                                ? tree_->pack(expected.context, expected.first_block, tree_->computed(expected.context))
                                : std::string(packed));
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

class BreakingModel final : public OtherTrees {
 public:
  BreakingModel(const LanguageModel& model, Step step) : OtherTrees(model), step_(step) {}
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt,
                                                  ContextLimits limits) const override {
    return std::make_unique<BreakingTree>(model_.open(prompt, limits), step_, &broken_);
  }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  Step step_;
  mutable std::atomic<bool> broken_{false};
};

}  // namespace shoal::test
