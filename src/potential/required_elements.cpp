// Several strings should occur. The state is where the strings' search automaton is, and one bit per string found.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "potential/aho_corasick.hpp"
#include "potential/mask_cache.hpp"
#include "potential/state_bytes.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

constexpr double largest_penalty = 1e6;

class RequiredElements final : public Potential {
 public:
  RequiredElements(std::vector<std::string> elements, double penalty, std::string name)
      : search_(elements), count_(elements.size()), penalty_(penalty), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }

  PotentialState start() const override {
    PotentialState state(sizeof AhoCorasick::start + (count_ + 7) / 8, '\0');
    store(AhoCorasick::start, &state);
    return state;
  }

  void advance(PotentialState& state, std::string_view bytes) const override {
    expect_state(is_own(state), name_);
    auto at = from_state<std::int32_t>(state);
    for (const char byte : bytes) {
      at = search_.step(at, static_cast<std::uint8_t>(byte));
      for (const std::uint32_t i : search_.found(at)) {
        char& flags = state[sizeof at + i / 8];
        flags = static_cast<char>(static_cast<unsigned char>(flags) | 1U << i % 8);
      }
    }
    store(at, &state);
  }

  /// What is missing now may still come: no zero here, but each element that comes raises the weight at once.
  double log_prefix(const PotentialState& state) const override {
    const double log_score = log_complete(state);
    return std::isinf(log_score) ? 0.0 : log_score;
  }

  double log_complete(const PotentialState& state) const override {
    const std::size_t n = missing(state);
    return n == 0 ? 0.0 : -penalty_ * static_cast<double>(n);
  }

  std::shared_ptr<const TokenMask> allowed(const PotentialState& state, const Vocabulary& vocabulary) const override {
    if (!std::isinf(penalty_) || missing(state) == 0) return nullptr;
    return no_end_.get(vocabulary, [&] {
      TokenMask mask = vocabulary.text_tokens();
      mask.end = false;
      return mask;
    });
  }

 private:
  [[nodiscard]] bool is_own(const PotentialState& state) const {
    if (state.size() != sizeof AhoCorasick::start + (count_ + 7) / 8) return false;
    const auto at = from_state<std::int32_t>(state);
    return at >= 0 && at < search_.size();
  }

  [[nodiscard]] std::size_t missing(const PotentialState& state) const {
    expect_state(is_own(state), name_);
    std::size_t found = 0;
    for (std::size_t i = sizeof AhoCorasick::start; i < state.size(); ++i)
      found += static_cast<std::size_t>(std::popcount(static_cast<unsigned char>(state[i])));
    expect_state(found <= count_, name_);
    return count_ - found;
  }

  AhoCorasick search_;
  std::size_t count_;
  double penalty_;
  std::string name_;
  mutable PerVocabulary<TokenMask> no_end_;  ///< a cache: synchronised inside
};

}  // namespace

PotentialPtr required_elements_potential(std::vector<std::string> elements, double penalty, std::string name) {
  if (elements.empty()) throw UsageError("no required elements (the list is empty) give at least one string");
  if (std::any_of(elements.begin(), elements.end(), [](const auto& e) { return e.empty(); }))
    throw UsageError("bad required element '' (it occurs in every text) give at least one character");
  if (std::isnan(penalty) || penalty < 0 || (penalty > largest_penalty && !std::isinf(penalty)))
    throw UsageError("bad penalty (not a number from 0 to 1e6) give such a number, or inf to require all elements");
  return std::make_shared<RequiredElements>(std::move(elements), penalty, std::move(name));
}

}  // namespace shoal
