// Proposal: what tokens are drawn from. A seam of the run loop: every kind gives, for one context, a properly weighted
// distribution over next tokens.
#pragma once

#include <memory>
#include <span>

#include "shoal/potential.hpp"
#include "shoal/vocabulary.hpp"
#include "smc/options.hpp"
#include "smc/stop_strings.hpp"
#include "smc/token_distribution.hpp"

namespace shoal::smc {

/// What the particles on one context have in common.
struct ContextView {
  std::span<const PotentialState> states;  ///< of every potential
  StopStrings::State stop_state = StopStrings::start();
};

/// What a run's proposals are made from; all must outlive them.
struct ProposalSetup {
  const Vocabulary& vocabulary;
  std::span<const PotentialPtr> potentials;
  const StopStrings& stops;
  double temperature = 1.0;
  Truncation truncation;
};

/// Members are safe to call from several threads.
class Proposal {
 public:
  virtual ~Proposal() = default;
  /// @param logits one row of the model; becomes the storage of the distribution
  [[nodiscard]] virtual TokenDistribution distribution(std::span<float> logits, const ContextView& context) const = 0;
  /// What distribution() restricts the model to, for whoever draws in its place. Equal sets mostly share their address.
  [[nodiscard]] virtual std::shared_ptr<const TokenMask> allowed(const ContextView& context) const = 0;
  /// For a context with mass 0: the first potential after whose mask nothing is left, or null if the model itself
  /// leaves nothing.
  [[nodiscard]] virtual const Potential* culprit(std::span<const float> logits, const ContextView& context) const = 0;
};

/// model: p, truncated. masked: p restricted to the tokens that every cheap potential allows (expensive ones do not
/// know the text between batches, so they are not asked) or that complete a stop string, then truncated. automatic:
/// masked, which equals model wherever no potential excludes anything.
std::unique_ptr<const Proposal> make_proposal(ProposalKind kind, const ProposalSetup& setup);

}  // namespace shoal::smc
