#include "smc/growth.hpp"

namespace shoal::smc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

void Growth::append(History* history, TokenId token, Increment increment, std::uint32_t step) const {
  const std::string_view bytes = vocabulary_.bytes(token);
  history->tokens.push_back(token);
  history->text += bytes;
  const auto drop = stops_.advance(&history->stop_state, bytes);
  if (drop) {
    history->text.resize(history->text.size() - *drop);
    history->status = Status::stopped;
  }
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (!is_cheap(k)) continue;
    double value;
    if (drop) {
      value = log_complete_of(k, history->text);
    } else {
      potentials_[k]->advance(history->states[k], bytes);
      value = potentials_[k]->log_prefix(history->states[k]);
    }
    increment.add(value - history->values[k], static_cast<Culprit>(k));
    history->values[k] = value;
  }
  finish_step(history, increment, step);
}

void Growth::complete(History* history, Status status, Increment increment, std::uint32_t step) const {
  history->status = status;
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (!is_cheap(k)) continue;
    const double value = potentials_[k]->log_complete(history->states[k]);
    increment.add(value - history->values[k], static_cast<Culprit>(k));
    history->values[k] = value;
  }
  finish_step(history, increment, step);
}

void Growth::finish_step(History* history, Increment increment, std::uint32_t step) {
  history->increments.push_back(increment.value());
  if (increment.value() > -infinity) return;
  history->status = Status::dead;
  history->death = {step, increment.culprit()};
}

double Growth::log_complete_of(std::size_t k, std::string_view text) const {
  PotentialState state = potentials_[k]->start();
  potentials_[k]->advance(state, text);
  return potentials_[k]->log_complete(state);
}

void Growth::evaluate_expensive(std::size_t k, History* history, std::uint32_t step) const {
  const Potential& potential = *potentials_[k];
  if (history->status == Status::stopped) {  // the cut may lie before the start of the batch
    history->values[k] = log_complete_of(k, history->text);
  } else {
    PotentialState& state = history->states[k];
    state = history->start.states[k];
    potential.advance(state, std::string_view(history->text).substr(history->start.text_bytes));
    history->values[k] = is_finished(history->status) ? potential.log_complete(state) : potential.log_prefix(state);
  }
  add_expensive(k, history, step);
}

void Growth::add_expensive(std::size_t k, History* history, std::uint32_t step) {
  Increment increment(history->expensive_increment, history->death.culprit);
  increment.add(history->values[k] - history->start.values[k], static_cast<Culprit>(k));
  history->expensive_increment = increment.value();
  if (increment.value() == -infinity) history->death = {step, increment.culprit()};
}

void Growth::restore(History* history, std::size_t tokens) const {
  if (history->increments.size() <= tokens) return;
  history->increments.resize(tokens);
  history->status = Status::growing;  // it took a further step after these
  history->tokens.resize(history->start.tokens + tokens);
  history->values = history->start.values;
  history->states = history->start.states;
  respell(history);  // a stop string may have cut into what stood at the start of the batch
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (!is_cheap(k)) continue;
    PotentialState& state = history->states[k];
    for (const TokenId token : std::span(history->tokens).subspan(history->start.tokens))
      potentials_[k]->advance(state, vocabulary_.bytes(token));
    history->values[k] = potentials_[k]->log_prefix(state);
  }
}

HistoryState Growth::at_batch_start(const History& history) const {
  HistoryState state = history;
  state.status = history.start.status;
  state.states = history.start.states;
  state.values = history.start.values;
  if (state.status != Status::growing) return state;
  state.death = {};
  state.tokens.resize(history.start.tokens);
  respell(&state);
  return state;
}

void Growth::respell(HistoryState* state) const {
  state->text.clear();
  state->stop_state = StopStrings::start();
  for (const TokenId token : state->tokens) {
    state->text += vocabulary_.bytes(token);
    stops_.advance(&state->stop_state, vocabulary_.bytes(token));
  }
}

}  // namespace shoal::smc
