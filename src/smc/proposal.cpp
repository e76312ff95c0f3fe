#include "smc/proposal.hpp"

#include <limits>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace shoal::smc {
namespace {

/// Not counted: the vocabulary outlives the run.
std::shared_ptr<const TokenMask> all_text_tokens(const Vocabulary& vocabulary) {
  return {std::shared_ptr<const TokenMask>(), &vocabulary.text_tokens()};
}

/// Intersections of potentials' masks, by the masks' addresses: most contexts of a run meet the same few.
class MaskCombinations {
 public:
  using Masks = std::vector<std::shared_ptr<const TokenMask>>;

  /// @param stopping lives as long as the run, or null
  template <class Combine>
  std::shared_ptr<const TokenMask> find(Masks masks, const TokenMask* stopping, const Combine& combine) {
    std::vector<const TokenMask*> key{stopping};
    for (const auto& mask : masks) key.push_back(mask.get());
    {
      const std::lock_guard lock(mutex_);
      if (const auto known = by_address_.find(key); known != by_address_.end()) return known->second.combined;
    }
    auto combined = std::make_shared<const TokenMask>(combine(masks));
    const std::lock_guard lock(mutex_);
    if (by_address_.size() >= most_) by_address_.clear();
    by_address_.try_emplace(std::move(key), Entry{std::move(masks), combined});
    return combined;
  }

 private:
  struct Entry {
    Masks masks;  ///< kept, so that their addresses stay theirs
    std::shared_ptr<const TokenMask> combined;
  };
  static constexpr std::size_t most_ = 1024;
  std::mutex mutex_;
  std::map<std::vector<const TokenMask*>, Entry> by_address_;
};

class ModelProposal final : public Proposal {
 public:
  explicit ModelProposal(const ProposalSetup& setup) : setup_(setup) {}

  [[nodiscard]] TokenDistribution distribution(std::span<float> logits, const ContextView&) const override {
    return {logits, setup_.vocabulary, setup_.vocabulary.text_tokens(), setup_.temperature, setup_.truncation};
  }
  [[nodiscard]] std::shared_ptr<const TokenMask> allowed(const ContextView&) const override {
    return all_text_tokens(setup_.vocabulary);
  }
  [[nodiscard]] const Potential* culprit(std::span<const float>, const ContextView&) const override { return nullptr; }

 private:
  ProposalSetup setup_;
};

class MaskedProposal final : public Proposal {
 public:
  explicit MaskedProposal(const ProposalSetup& setup) : setup_(setup) {}

  [[nodiscard]] TokenDistribution distribution(std::span<float> logits, const ContextView& context) const override {
    return {logits, setup_.vocabulary, *allowed(context), setup_.temperature, setup_.truncation};
  }

  [[nodiscard]] std::shared_ptr<const TokenMask> allowed(const ContextView& context) const override {
    std::vector<std::shared_ptr<const TokenMask>> masks;
    for (std::size_t k = 0; k < setup_.potentials.size(); ++k)
      if (auto mask = mask_of(k, context)) masks.push_back(std::move(mask));
    if (masks.empty()) return all_text_tokens(setup_.vocabulary);
    return combinations_.find(std::move(masks), stopping_tokens(context), [&](const auto& all) {
      TokenMask allowed = setup_.vocabulary.text_tokens();
      for (const auto& mask : all) restrict_to(*mask, &allowed);
      add_stops(context, &allowed);
      return allowed;
    });
  }

  [[nodiscard]] const Potential* culprit(std::span<const float> logits, const ContextView& context) const override {
    TokenMask allowed = setup_.vocabulary.text_tokens();
    if (!possible(logits, allowed)) return nullptr;
    for (std::size_t k = 0; k < setup_.potentials.size(); ++k) {
      if (const auto mask = mask_of(k, context)) restrict_to(*mask, &allowed);
      TokenMask with_stops = allowed;
      add_stops(context, &with_stops);
      if (!possible(logits, with_stops)) return setup_.potentials[k].get();
    }
    return nullptr;
  }

 private:
  /// Null if the potential excludes nothing, or is not asked.
  [[nodiscard]] std::shared_ptr<const TokenMask> mask_of(std::size_t k, const ContextView& context) const {
    const Potential& potential = *setup_.potentials[k];
    if (potential.cost() == Cost::expensive) return nullptr;
    return potential.allowed(context.states[k], setup_.vocabulary);
  }

  static void restrict_to(const TokenMask& mask, TokenMask* allowed) {
    for (std::size_t i = 0; i < allowed->bits.size(); ++i) allowed->bits[i] &= mask.bits[i];
    allowed->end = allowed->end && mask.end;
  }

  /// Null if there are no stop strings.
  [[nodiscard]] const TokenMask* stopping_tokens(const ContextView& context) const {
    return setup_.stops.empty() ? nullptr : &setup_.stops.completing_tokens(context.stop_state);
  }

  /// A token that completes a stop string ends the particle on the text before it, so potentials never see the token.
  void add_stops(const ContextView& context, TokenMask* allowed) const {
    const TokenMask* stopping = stopping_tokens(context);
    if (stopping == nullptr) return;
    for (std::size_t i = 0; i < allowed->bits.size(); ++i) allowed->bits[i] |= stopping->bits[i];
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
  mutable MaskCombinations combinations_;
};

}  // namespace

std::unique_ptr<const Proposal> make_proposal(ProposalKind kind, const ProposalSetup& setup) {
  if (kind == ProposalKind::model) return std::make_unique<ModelProposal>(setup);
  return std::make_unique<MaskedProposal>(setup);
}

}  // namespace shoal::smc
