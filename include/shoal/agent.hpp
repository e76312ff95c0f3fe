// Agent: a conversation with a model. Owns the history, keeps it within the model's context window, and answers each
// message by an SMC run over all MPI ranks (or in this process alone).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/model.hpp"
#include "shoal/potential.hpp"

namespace shoal {

struct AgentSettings {
  std::string agent_type = "conversational";  ///< conversational, formal, technical or creative: the default style
  std::string name = "Agent";
  std::string description;  ///< becomes the system message; empty = the model's default
  std::shared_ptr<const Model> model;
  std::vector<PotentialPtr> potentials;
};

/// Two potentials that suit an agent type: the answer ends like a sentence, and shows the style of that name.
/// @throws UsageError for an unknown type
std::vector<PotentialPtr> default_potentials(const std::string& agent_type);

struct WeightedText {
  std::string text;
  double probability = 0.0;
};

struct Answer {
  std::string response;
  std::string finish_reason;  ///< completed, max_tokens, early_stop, timeout, signal or extinct
  std::string extinct_by;     ///< potential that no particle satisfied, if extinct
  int signal = 0;
  double log_z = 0.0;  ///< estimate of the log marginal likelihood of the potentials
  double ess = 0.0;    ///< effective sample size of the final weights
  double seconds = 0.0;
  bool cached = false;
  std::vector<WeightedText> posterior;  ///< distinct texts by falling probability; rank 0 only
};

class Agent {
 public:
  explicit Agent(AgentSettings settings);
  ~Agent();
  Agent(Agent&&) noexcept;
  Agent& operator=(Agent&&) noexcept;

  /// Answers @p message in the light of the history. Collective: every rank calls it with the same message and gets the
  /// same response. An extinct run answers with an empty response and leaves the history as it was.
  /// @throws UsageError if the message alone exceeds the context window
  Answer process(std::string_view message);
  [[nodiscard]] const std::vector<ChatMessage>& history() const;
  void clear_history();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// @throws UsageError if there is no model or the type is unknown
Agent create_agent(AgentSettings settings);

}  // namespace shoal
