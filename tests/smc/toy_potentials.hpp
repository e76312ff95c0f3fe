// Potentials whose state is the text itself, so that their values can be read off.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shoal/potential.hpp"

namespace shoal::test {

/// Any function of the text, given as weights (not logarithms).
class TextPotential : public Potential {
 public:
  using Score = std::function<double(const std::string&)>;
  TextPotential(std::string name, Score prefix, Score complete, Cost cost = Cost::cheap)
      : name_(std::move(name)), prefix_(std::move(prefix)), complete_(std::move(complete)), cost_(cost) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] PotentialState start() const override { return {}; }
  void advance(PotentialState& state, std::string_view bytes) const override { state += bytes; }
  [[nodiscard]] double log_prefix(const PotentialState& state) const override { return std::log(prefix_(state)); }
  [[nodiscard]] double log_complete(const PotentialState& state) const override { return std::log(complete_(state)); }
  [[nodiscard]] Cost cost() const override { return cost_; }

 private:
  std::string name_;
  Score prefix_;
  Score complete_;
  Cost cost_;
};

/// The same with an exact mask, found by trying every token.
class MaskedTextPotential final : public TextPotential {
 public:
  using TextPotential::TextPotential;
  [[nodiscard]] std::shared_ptr<const TokenMask> allowed(const PotentialState& state,
                                                         const Vocabulary& vocabulary) const override {
    auto mask = std::make_shared<TokenMask>();
    mask->bits.assign(vocabulary.text_tokens().bits.size(), 0);
    mask->end = log_complete(state) > -std::numeric_limits<double>::infinity();
    for (int v = 0; v < vocabulary.size(); ++v) {
      const TokenId id{v};
      if (vocabulary.text_tokens().test(id) &&
          log_prefix(state + std::string(vocabulary.bytes(id))) > -std::numeric_limits<double>::infinity())
        mask->set(id);
    }
    return mask;
  }
};

/// 2 for each a, 1/3 for each c, in both forms.
inline PotentialPtr likes_a(Cost cost = Cost::cheap) {
  const auto score = [](const std::string& text) {
    double w = 1.0;
    for (const char c : text) w *= c == 'a' ? 2.0 : c == 'c' ? 1.0 / 3.0 : 1.0;
    return w;
  };
  return std::make_shared<TextPotential>("likes_a", score, score, cost);
}

/// No two equal letters in a row; complete: must not end with b.
inline PotentialPtr no_doubles() {
  const auto prefix = [](const std::string& text) {
    for (std::size_t i = 1; i < text.size(); ++i)
      if (text[i] == text[i - 1]) return 0.0;
    return 1.0;
  };
  return std::make_shared<MaskedTextPotential>(
      "no_doubles", prefix, [prefix](const std::string& text) { return text.ends_with('b') ? 0.0 : prefix(text); });
}

}  // namespace shoal::test
