#include "smc/growth.hpp"

#include <gtest/gtest.h>

#include "smc/decoder.hpp"
#include "smc/toy_worlds.hpp"

namespace shoal::smc {
namespace {

/// A population that decodes on its own, without the run loop.
struct Decoding {
  explicit Decoding(const test::World& world)
      : tree(world.model.open({}, {})),
        population(tree.get(), world.potentials, std::vector<Rank>(static_cast<std::size_t>(world.options.particles)),
                   Rank{0}),
        decoder(world.model, tree.get(), world.potentials, world.options) {}

  void advance(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t step = begin; step < end; ++step) decoder.advance(&population, step);
    decoder.evaluate_expensive(&population, end);
  }
  void begin_batch() {
    for (Particle& particle : population.particles()) particle.begin_batch();
  }

  std::unique_ptr<ContextTree> tree;
  Population population;
  Decoder decoder;
};

void expect_same(const Particle& a, const Particle& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.updated_status(), b.updated_status());
  EXPECT_EQ(a.updated_log_weight(), b.updated_log_weight());
  EXPECT_EQ(a.increments, b.increments);
  EXPECT_EQ(a.expensive_increment, b.expensive_increment);
  EXPECT_EQ(a.values, b.values);
  EXPECT_EQ(a.states, b.states);
  if (a.status == Status::growing) {
    EXPECT_EQ(a.stop_state, b.stop_state);
  }
}

TEST(Growth, RestoreGivesBackTheStateOfTheEarlierToken) {
  for (const test::World& world : test::all_worlds()) {
    for (const std::uint32_t start : {0U, 1U, 2U}) {
      for (const std::uint32_t kept : {0U, 1U, 2U}) {
        Decoding cut(world);
        Decoding stopped(world);
        for (Decoding* each : {&cut, &stopped}) {
          each->advance(0, start);
          each->begin_batch();
        }
        cut.advance(start, start + 4);
        cut.decoder.cut(&cut.population, kept);
        cut.decoder.evaluate_expensive(&cut.population, start + kept);
        stopped.advance(start, start + kept);
        for (std::size_t i = 0; i < cut.population.particles().size(); ++i)
          expect_same(cut.population.particles()[i], stopped.population.particles()[i]);
      }
    }
  }
}

TEST(Increment, RemembersTheFirstFactorOfZero) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  Increment increment(0.5, model_culprit);
  increment.add(-1.0, 0);
  increment.add(-inf, 1);
  increment.add(-inf, 2);
  EXPECT_EQ(increment.value(), -inf);
  EXPECT_EQ(increment.culprit(), 1);
}

TEST(Population, ChildrenOnAnotherRankHaveAllThatTheirParentHad) {
  for (const test::World& world : test::all_worlds()) {
    Decoding here(world);
    here.advance(0, 2);
    here.begin_batch();
    Decoding there(world);
    Exchange exchange;
    for (const Particle& particle : here.population.particles()) {
      if (particle.status == Status::dead) continue;
      exchange.births.push_back({particle.id, particle.id});
      exchange.arrivals.push_back({particle.id, here.population.pack(particle.id)});
    }
    there.population.rebuild(exchange, -1.5);
    for (const Particle& child : there.population.particles()) {
      const Particle& parent = here.population.particles()[child.id.value()];
      EXPECT_EQ(child.log_weight, -1.5);
      EXPECT_EQ(child.status, parent.status);
      EXPECT_EQ(child.tokens, parent.tokens);
      EXPECT_EQ(child.text, parent.text);
      EXPECT_EQ(child.states, parent.states);
      EXPECT_EQ(child.values, parent.values);
      EXPECT_EQ(child.stop_state, parent.stop_state);
      EXPECT_EQ(child.start.states, parent.start.states);
      EXPECT_EQ(static_cast<bool>(child.context), child.status == Status::growing);
    }
  }
}

}  // namespace
}  // namespace shoal::smc
