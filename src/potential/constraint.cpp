// Several potentials as one: the least of their values counts. The state is the parts' states, each after its length.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.hpp"
#include "potential/state_bytes.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

class Constraint final : public Potential {
 public:
  Constraint(std::vector<PotentialPtr> parts, std::string name) : parts_(std::move(parts)), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }

  PotentialState start() const override {
    PotentialState state;
    for (const auto& part : parts_) append(part->start(), &state);
    return state;
  }

  void advance(PotentialState& state, std::string_view bytes) const override {
    PotentialState after;
    after.reserve(state.size());
    visit(state, [&](const Potential& part, PotentialState part_state) {
      part.advance(part_state, bytes);
      append(part_state, &after);
    });
    state = std::move(after);
  }

  double log_prefix(const PotentialState& state) const override {
    double least = std::numeric_limits<double>::infinity();
    visit(state, [&](const Potential& part, const PotentialState& s) { least = std::min(least, part.log_prefix(s)); });
    return least;
  }

  double log_complete(const PotentialState& state) const override {
    double least = std::numeric_limits<double>::infinity();
    visit(state,
          [&](const Potential& part, const PotentialState& s) { least = std::min(least, part.log_complete(s)); });
    return least;
  }

  std::shared_ptr<const TokenMask> allowed(const PotentialState& state, const Vocabulary& vocabulary) const override {
    std::shared_ptr<const TokenMask> common;
    visit(state, [&](const Potential& part, const PotentialState& part_state) {
      auto mask = part.allowed(part_state, vocabulary);
      if (mask) common = common ? intersection(*common, *mask) : std::move(mask);
    });
    return common;
  }

  Cost cost() const override {
    const bool any =
        std::any_of(parts_.begin(), parts_.end(), [](const auto& p) { return p->cost() == Cost::expensive; });
    return any ? Cost::expensive : Cost::cheap;
  }

 private:
  static std::shared_ptr<const TokenMask> intersection(const TokenMask& a, const TokenMask& b) {
    auto both = std::make_shared<TokenMask>(a);
    for (std::size_t i = 0; i < both->bits.size(); ++i) both->bits[i] &= b.bits[i];
    both->end = a.end && b.end;
    return both;
  }

  static void append(const PotentialState& part_state, PotentialState* state) {
    *state += to_state(static_cast<std::uint32_t>(part_state.size()));
    *state += part_state;
  }

  template <class Visit>
  void visit(const PotentialState& state, const Visit& each) const {
    std::size_t at = 0;
    for (const auto& part : parts_) {
      expect_state(at + sizeof(std::uint32_t) <= state.size(), name_);
      const std::size_t size = from_state<std::uint32_t>(state, at);
      at += sizeof(std::uint32_t);
      expect_state(size <= state.size() - at, name_);
      each(*part, state.substr(at, size));
      at += size;
    }
    expect_state(at == state.size(), name_);
  }

  std::vector<PotentialPtr> parts_;
  std::string name_;
};

}  // namespace

PotentialPtr constraint_potential(std::vector<PotentialPtr> parts, std::string name) {
  if (parts.empty())
    throw UsageError("no parts in constraint '" + name + "' (the list is empty) give at least one part");
  SHOAL_EXPECT(std::none_of(parts.begin(), parts.end(), [](const auto& part) { return part == nullptr; }));
  return std::make_shared<Constraint>(std::move(parts), std::move(name));
}

}  // namespace shoal
