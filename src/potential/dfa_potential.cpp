#include "potential/dfa_potential.hpp"

#include <limits>
#include <utility>

#include "base/assert.hpp"
#include "potential/dfa_masks.hpp"
#include "potential/state_bytes.hpp"

namespace shoal {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

class DfaPotential final : public Potential {
 public:
  DfaPotential(Dfa dfa, std::string name) : dfa_(std::move(dfa)), name_(std::move(name)), masks_(&dfa_) {
    SHOAL_EXPECT(dfa_.start != Dfa::dead);
  }

  const std::string& name() const override { return name_; }
  PotentialState start() const override { return to_state(dfa_.start); }

  void advance(PotentialState& state, std::string_view bytes) const override {
    std::int32_t at = place(state);
    for (std::size_t i = 0; i < bytes.size() && at != Dfa::dead; ++i)
      at = dfa_.step(at, static_cast<std::uint8_t>(bytes[i]));
    store(at, &state);
  }

  double log_prefix(const PotentialState& state) const override {
    return place(state) == Dfa::dead ? minus_infinity : 0.0;
  }

  double log_complete(const PotentialState& state) const override {
    const std::int32_t at = place(state);
    return at != Dfa::dead && dfa_.accepting[static_cast<std::size_t>(at)] != 0 ? 0.0 : minus_infinity;
  }

  std::shared_ptr<const TokenMask> allowed(const PotentialState& state, const Vocabulary& vocabulary) const override {
    return masks_.allowed(place(state), vocabulary);
  }

 private:
  [[nodiscard]] std::int32_t place(const PotentialState& state) const {
    expect_state(state.size() == sizeof(std::int32_t), name_);
    const auto at = from_state<std::int32_t>(state);
    expect_state(at >= Dfa::dead && at < dfa_.size(), name_);
    return at;
  }

  Dfa dfa_;
  std::string name_;
  mutable DfaMasks masks_;  ///< a cache: synchronised inside
};

}  // namespace

PotentialPtr dfa_potential(Dfa dfa, std::string name) {
  return std::make_shared<DfaPotential>(std::move(dfa), std::move(name));
}

}  // namespace shoal
