#include "agent/chat.hpp"

#include <utility>

#include "agent/generation.hpp"
#include "shoal/error.hpp"

namespace shoal::agent {
namespace {

std::string cache_key(std::span<const TokenId> prompt) {
  return {reinterpret_cast<const char*>(prompt.data()), prompt.size_bytes()};
}

Answer to_answer(smc::RunResult result, std::string response) {
  Answer answer;
  answer.response = std::move(response);
  answer.finish_reason = to_string(result.reason);
  answer.extinct_by = std::move(result.extinct_by);
  answer.signal = result.signal;
  answer.log_z = result.log_z;
  answer.ess = result.ess;
  answer.seconds = result.wall_s;
  for (auto& entry : result.posterior) answer.posterior.push_back({std::move(entry.text), entry.probability});
  return answer;
}

}  // namespace

Chat::Chat(ChatSettings settings) : settings_(std::move(settings)), conversation_(settings_.system) {}

std::vector<TokenId> Chat::next_prompt(std::string_view message) {
  conversation_.add("user", std::string(message));
  try {
    return conversation_.prompt(*settings_.model,
                                settings_.model->summary().max_context - settings_.smc.max_tokens - 1);
  } catch (const Error&) {
    conversation_.drop_last();
    throw;
  }
}

Answer Chat::run(std::span<const TokenId> prompt, smc::Observer* observer) {
  smc::RunResult result = generate(*settings_.world, settings_.gpus.get(), *settings_.model, prompt,
                                   settings_.potentials, settings_.smc, settings_.timeout_s, {.observer = observer});
  std::string response = settings_.world->broadcast(result.response);
  return to_answer(std::move(result), std::move(response));
}

Answer Chat::process(std::string_view message, smc::Observer* observer) {
  const std::vector<TokenId> prompt = next_prompt(message);
  const std::string key = cache_key(prompt);
  Answer answer;
  if (const auto hit = cache_.find(key); settings_.use_cache && hit != cache_.end()) {
    answer = hit->second;
    answer.cached = true;
  } else {
    answer = run(prompt, observer);
  }
  if (answer.finish_reason == "extinct" || answer.finish_reason == "signal") {
    conversation_.drop_last();
    return answer;
  }
  conversation_.add("assistant", answer.response);
  if (settings_.use_cache) cache_.insert_or_assign(key, answer);
  return answer;
}

}  // namespace shoal::agent
