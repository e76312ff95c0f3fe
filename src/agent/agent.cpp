#include "shoal/agent.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/chat.hpp"
#include "agent/workers.hpp"
#include "base/parallel.hpp"
#include "shoal/error.hpp"

namespace shoal {

struct Agent::State {
  int workers;
  agent::Chat chat;
};

namespace {

smc::Options smc_options(const ModelSettings& s) {
  smc::Options options;
  options.particles = s.use_monte_carlo ? s.monte_carlo_particles : 1;
  options.batch_size = s.monte_carlo_batch_size;
  options.max_tokens = s.max_tokens;
  options.temperature = s.temperature;
  options.ess_threshold = s.ess_threshold;
  options.seed = s.seed;
  return options;
}

agent::ChatSettings chat_settings(AgentSettings settings) {
  const ModelSettings& model = settings.model->settings;
  agent::ChatSettings chat;
  chat.model = settings.model->language_model;
  chat.world = settings.model->world;
  chat.gpus = settings.model->gpus;
  if (model.use_monte_carlo) chat.potentials = std::move(settings.potentials);
  chat.smc = smc_options(model);
  chat.smc.micro_batches = settings.model->micro_batches;
  if (model.monte_carlo_timeout > 0) chat.timeout_s = model.monte_carlo_timeout;
  chat.system = std::move(settings.description);
  chat.use_cache = model.use_cache;
  return chat;
}

int worker_count(const Model& model) {
  if (!model.settings.use_parallel_monte_carlo) return 1;
  const bool on_gpu = model.micro_batches > 0;
  return agent::choose_workers(on_gpu ? 0 : model.settings.monte_carlo_workers, *model.world);
}

}  // namespace

std::vector<PotentialPtr> default_potentials(const std::string& agent_type) {
  constexpr std::array types{"conversational", "formal", "technical", "creative"};
  if (std::find(types.begin(), types.end(), agent_type) == types.end())
    throw UsageError("bad agent type '" + agent_type +
                     "' (not known) choose one of conversational, formal, technical, creative");
  return {regex_potential(R"(.*[.!?]$)", "sentence_ending_potential"),
          style_potential(load_style(agent_type), agent_type + "_style_potential")};
}

Agent::Agent(AgentSettings settings)
    : state_(std::make_unique<State>(
          State{worker_count(*settings.model), agent::Chat(chat_settings(std::move(settings)))})) {}
Agent::~Agent() = default;
Agent::Agent(Agent&&) noexcept = default;
Agent& Agent::operator=(Agent&&) noexcept = default;

Answer Agent::process(std::string_view message) {
  set_worker_threads(state_->workers);
  return state_->chat.process(message);
}

const std::vector<ChatMessage>& Agent::history() const { return state_->chat.history(); }

void Agent::clear_history() { state_->chat.clear_history(); }

Agent create_agent(AgentSettings settings) {
  if (!settings.model)
    throw UsageError("the agent has no model (AgentSettings.model is empty) give one from create_model");
  (void)default_potentials(settings.agent_type);
  return Agent(std::move(settings));
}

}  // namespace shoal
