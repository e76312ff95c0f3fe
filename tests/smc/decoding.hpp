// A population that decodes on its own, without the run loop.
#pragma once

#include <memory>
#include <vector>

#include "smc/decoder.hpp"
#include "smc/selection.hpp"
#include "smc/toy_worlds.hpp"

namespace shoal::test {

struct Decoding {
  explicit Decoding(const World& world)
      : tree(world.model.open({}, {})),
        population(tree.get(), world.potentials,
                   smc::first_ids(static_cast<std::size_t>(world.options.particles), smc::SingleProcess())),
        decoder(world.model, tree.get(), world.potentials, world.options) {}

  void advance(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t step = begin; step < end; ++step)
      decoder.advance(&population, step, population.progress().least.value_or(0));
    decoder.evaluate_expensive(&population, end);
  }
  void begin_batch() {
    for (smc::History& history : population.histories()) history.begin_batch();
  }

  std::unique_ptr<ContextTree> tree;
  smc::Population population;
  smc::Decoder decoder;
};

}  // namespace shoal::test
