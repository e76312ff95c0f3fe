#include "smc/proposal.hpp"

#include <limits>

namespace shoal::smc {
namespace {

class ModelProposal final : public Proposal {
 public:
  explicit ModelProposal(const ProposalSetup& setup) : setup_(setup) {}

  [[nodiscard]] TokenDistribution distribution(std::span<float> logits, const ContextView&) const override {
    return {logits, setup_.vocabulary, setup_.vocabulary.text_tokens(), setup_.temperature, setup_.truncation};
  }
  [[nodiscard]] const Potential* culprit(std::span<const float>, const ContextView&) const override { return nullptr; }

 private:
  ProposalSetup setup_;
};

class MaskedProposal final : public Proposal {
 public:
  explicit MaskedProposal(const ProposalSetup& setup) : setup_(setup) {}

  [[nodiscard]] TokenDistribution distribution(std::span<float> logits, const ContextView& context) const override {
    TokenMask allowed = setup_.vocabulary.text_tokens();
    for (std::size_t k = 0; k < setup_.potentials.size(); ++k) restrict_to(k, context, &allowed);
    add_stops(context, &allowed);
    return {logits, setup_.vocabulary, allowed, setup_.temperature, setup_.truncation};
  }

  [[nodiscard]] const Potential* culprit(std::span<const float> logits, const ContextView& context) const override {
    TokenMask allowed = setup_.vocabulary.text_tokens();
    if (!possible(logits, allowed)) return nullptr;
    for (std::size_t k = 0; k < setup_.potentials.size(); ++k) {
      restrict_to(k, context, &allowed);
      TokenMask with_stops = allowed;
      add_stops(context, &with_stops);
      if (!possible(logits, with_stops)) return setup_.potentials[k].get();
    }
    return nullptr;
  }

 private:
  void restrict_to(std::size_t k, const ContextView& context, TokenMask* allowed) const {
    const Potential& potential = *setup_.potentials[k];
    if (potential.cost() == Cost::expensive) return;
    const auto mask = potential.allowed(context.states[k], setup_.vocabulary);
    if (!mask) return;
    for (std::size_t i = 0; i < allowed->bits.size(); ++i) allowed->bits[i] &= mask->bits[i];
    allowed->end = allowed->end && mask->end;
  }

  /// A token that completes a stop string ends the particle on the text before it, so potentials never see the token.
  void add_stops(const ContextView& context, TokenMask* allowed) const {
    if (setup_.stops.empty()) return;
    const TokenMask& stopping = setup_.stops.completing_tokens(context.stop_state);
    for (std::size_t i = 0; i < allowed->bits.size(); ++i) allowed->bits[i] |= stopping.bits[i];
  }

  /// Whether the model gives one of the outcomes a probability above 0.
  [[nodiscard]] bool possible(std::span<const float> logits, const TokenMask& allowed) const {
    const auto has_mass = [&](TokenId id) {
      return logits[static_cast<std::size_t>(id.value())] > -std::numeric_limits<float>::infinity();
    };
    for (std::size_t v = 0; v < logits.size(); ++v)
      if (const TokenId id{static_cast<std::int32_t>(v)}; allowed.test(id) && has_mass(id)) return true;
    if (!allowed.end) return false;
    for (const TokenId id : setup_.vocabulary.end_tokens())
      if (has_mass(id)) return true;
    return false;
  }

  ProposalSetup setup_;
};

}  // namespace

std::unique_ptr<const Proposal> make_proposal(ProposalKind kind, const ProposalSetup& setup) {
  if (kind == ProposalKind::model) return std::make_unique<ModelProposal>(setup);
  return std::make_unique<MaskedProposal>(setup);
}

}  // namespace shoal::smc
