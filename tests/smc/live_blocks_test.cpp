// The context tree keeps few blocks however long the run: those of the lineages that live, not of all that ever did.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lm/hash_transformer.hpp"
#include "smc/population.hpp"
#include "smc/resampling.hpp"

namespace shoal::smc {
namespace {

/// Particles of equal weight, resampled multinomially after each generation of some tokens, every one another.
class NeutralPopulation {
 public:
  NeutralPopulation(std::uint32_t particles, std::uint64_t seed)
      : key_{seed}, tree_(transformer_, std::vector<TokenId>(lm::block_positions, TokenId{7})) {
    tree_.retain(tree_.root());
    contexts_.assign(particles, ContextReference(&tree_, tree_.root()));
  }

  /// @return blocks that live after the generation's tokens
  std::size_t generation(int tokens) {
    for (ContextReference& context : contexts_)
      for (int t = 0; t < tokens; ++t)
        context = ContextReference(&tree_, tree_.extend(context.id(), TokenId{next_token_++ % 1'000'003}));
    std::vector<ContextId> ids;
    for (const ContextReference& context : contexts_) ids.push_back(context.id());
    std::vector<float> logits(ids.size());
    tree_.forward(ids, logits);
    const std::size_t live = tree_.live_blocks();
    const std::vector<std::uint64_t> equal(contexts_.size(), 1);
    const auto words = resampling_words(Resampling::multinomial, equal.size(), key_, generation_++);
    std::vector<ContextReference> children;
    for (const LogicalId parent : ancestors_of(offspring_counts(Resampling::multinomial, equal, words)))
      children.push_back(contexts_[parent.value()]);
    contexts_ = std::move(children);
    return live;
  }

 private:
  RandomKey key_;
  lm::HashTransformer transformer_;
  lm::TransformerTree tree_;
  std::vector<ContextReference> contexts_;
  std::uint32_t generation_ = 0;
  int next_token_ = 0;
};

double n_log_n(std::uint32_t n) { return n * std::log(n); }

/// Jacob, Murray and Rubenthaler (Stat. Comput. 2013): E[nodes] <= T + C N ln N. A generation is a block here.
TEST(LiveBlocks, OfAGenerationEachFollowTheBoundWithOneConstant) {
  const auto constant_of = [](std::uint32_t particles) {
    constexpr int generations = 200;
    NeutralPopulation population(particles, 11);
    double sum = 0.0;
    for (int g = 0; g < generations; ++g) {
      const std::size_t live = population.generation(lm::block_positions);
      if (g >= generations / 2) sum += (static_cast<double>(live) - g) / n_log_n(particles) / (generations / 2);
    }
    return sum;
  };
  const double fitted = constant_of(32);
  for (const std::uint32_t particles : {16U, 64U}) EXPECT_NEAR(constant_of(particles) / fitted, 1.0, 0.2) << particles;
}

/// As a run has it that resamples after every token; T = 1,000.
TEST(LiveBlocks, StayBelowTheBoundIfEveryTokenIsResampled) {
  constexpr int tokens = 1000;
  double fitted = 0.0;
  for (const std::uint32_t particles : {64U, 128U, 256U, 512U, 1024U}) {
    NeutralPopulation population(particles, 5);
    std::size_t most = 0;
    for (int t = 0; t < tokens; ++t) most = std::max(most, population.generation(1));
    const double constant = (static_cast<double>(most) - tokens / lm::block_positions) / n_log_n(particles);
    RecordProperty("N_" + std::to_string(particles), std::to_string(constant));
    if (fitted == 0.0) fitted = constant;
    EXPECT_LT(constant, 1.2 * fitted) << particles;
    EXPECT_GT(constant, 0.1 * fitted) << particles;
  }
  EXPECT_LT(fitted, 1.0);
}

}  // namespace
}  // namespace shoal::smc
