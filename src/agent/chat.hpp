// Chat: answers messages one after the other by SMC runs. Owns the history and the response cache; what the public
// Agent and `shoal agent` stand on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/conversation.hpp"
#include "cluster/world.hpp"
#include "lm/cuda/gpu_links.hpp"
#include "shoal/agent.hpp"
#include "smc/options.hpp"
#include "smc/run.hpp"

namespace shoal::agent {

struct ChatSettings {
  std::shared_ptr<const LanguageModel> model;
  std::shared_ptr<cluster::World> world;
  std::shared_ptr<lm::GpuLinks> gpus;  ///< or null
  std::vector<PotentialPtr> potentials;
  smc::Options smc;
  std::optional<double> timeout_s;
  std::string system;      ///< system message; empty = the template's own
  bool use_cache = false;  ///< the same conversation gets the same answer without a run
};

class Chat {
 public:
  explicit Chat(ChatSettings settings);

  /// See Agent::process. @param observer called on rank 0 during the run, may be null; @p observer must be null on all
  /// ranks
  ///                            or set on rank 0
  Answer process(std::string_view message, smc::Observer* observer = nullptr);
  [[nodiscard]] const std::vector<ChatMessage>& history() const { return conversation_.messages(); }
  void clear_history() { conversation_.clear(); }

 private:
  std::vector<TokenId> next_prompt(std::string_view message);
  Answer run(std::span<const TokenId> prompt, smc::Observer* observer);

  ChatSettings settings_;
  Conversation conversation_;
  std::unordered_map<std::string, Answer> cache_;  ///< by prompt tokens, as bytes
};

}  // namespace shoal::agent
