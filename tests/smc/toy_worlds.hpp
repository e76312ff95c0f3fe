// Small complete set-ups (model, potentials, options) that between them use every feature of the run loop.
#pragma once

#include <string>
#include <vector>

#include "smc/options.hpp"
#include "smc/toy_model.hpp"
#include "smc/toy_potentials.hpp"

namespace shoal::test {

struct World {
  std::string name;
  ToyModel model;
  std::vector<PotentialPtr> potentials;
  smc::Options options;
};

/// 0 once @p text has three letters c; complete: 0 also if it has none. Soft: 0.6 for each c.
inline PotentialPtr few_c(Cost cost) {
  const auto prefix = [](const std::string& text) {
    const auto count = std::count(text.begin(), text.end(), 'c');
    return count >= 3 ? 0.0 : std::pow(0.6, static_cast<double>(count));
  };
  return std::make_shared<TextPotential>(
      "few_c", prefix, [prefix](const std::string& text) { return text.find('c') == text.npos ? 0.0 : prefix(text); },
      cost);
}

/// Tokens of one to three letters, rows without text, three end tokens (4, 5 and 8), probabilities by the last token.
inline ToyModel syllables_model() {
  return ToyModel({"a", "b", "ab", "bab", "", "", "c", "", ""}, {token(4), token(5), token(8)},
                  [](std::span<const TokenId> tokens) -> std::vector<double> {
                    const int last = tokens.empty() ? 7 : tokens.back().value();
                    std::vector<double> p;
                    for (int v = 0; v < 9; ++v) p.push_back(1.0 + ((v * 5 + last * 3) % 7));
                    for (const std::size_t end : {4U, 5U, 8U}) p[end] *= 0.15 * static_cast<double>(1 + tokens.size());
                    return p;
                  });
}

/// Cheap potentials, one with masks; forced ends; the plain model.
inline World letters_world() { return {"letters", letters_model(), {likes_a(), no_doubles()}, {.max_tokens = 4}}; }

/// Temperature, top-k, and an expensive soft potential beside a masked one.
inline World truncated_world() {
  return {"truncated",
          letters_model(),
          {no_doubles(), likes_a(Cost::expensive)},
          {.max_tokens = 4, .temperature = 0.7, .top_k = 3}};
}

/// Stop strings within and across tokens, several end tokens, top-p, an expensive potential with zeros.
inline World syllables_world() {
  return {"syllables",
          syllables_model(),
          {likes_a(), few_c(Cost::expensive)},
          {.max_tokens = 3, .temperature = 1.4, .top_p = 0.93, .stop = {"bb", "ca", "aba"}}};
}

/// Stop strings beside masks: what completes a stop string is never seen by the potentials.
inline World stopped_world() {
  return {"stopped",
          syllables_model(),
          {no_doubles(), few_c(Cost::cheap), likes_a()},
          {.max_tokens = 3, .stop = {"bb", "abab"}}};
}

/// Min-p after temperature and top-p, several end tokens, a masked potential.
inline World min_p_world() {
  return {"min_p",
          syllables_model(),
          {no_doubles(), likes_a()},
          {.max_tokens = 3, .temperature = 0.8, .top_p = 0.97, .min_p = 0.35}};
}

/// Their ranks are not patient, so that who comes late has to catch up.
inline std::vector<World> all_worlds() {
  std::vector<World> worlds{letters_world(), truncated_world(), syllables_world(), min_p_world(), stopped_world()};
  for (World& world : worlds) world.options.patience = 0.0;
  return worlds;
}

}  // namespace shoal::test
