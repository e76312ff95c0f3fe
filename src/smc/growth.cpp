#include "smc/growth.hpp"

namespace shoal::smc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

void Growth::append(Particle* particle, TokenId token, Increment increment, std::uint32_t step) const {
  const std::string_view bytes = vocabulary_.bytes(token);
  particle->tokens.push_back(token);
  particle->text += bytes;
  const auto drop = stops_.advance(&particle->stop_state, bytes);
  if (drop) {
    particle->text.resize(particle->text.size() - *drop);
    particle->status = Status::stopped;
  }
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (!is_cheap(k)) continue;
    double value;
    if (drop) {
      value = log_complete_of(k, particle->text);
    } else {
      potentials_[k]->advance(particle->states[k], bytes);
      value = potentials_[k]->log_prefix(particle->states[k]);
    }
    increment.add(value - particle->values[k], static_cast<Culprit>(k));
    particle->values[k] = value;
  }
  finish_step(particle, increment, step);
}

void Growth::complete(Particle* particle, Status status, Increment increment, std::uint32_t step) const {
  particle->status = status;
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (!is_cheap(k)) continue;
    const double value = potentials_[k]->log_complete(particle->states[k]);
    increment.add(value - particle->values[k], static_cast<Culprit>(k));
    particle->values[k] = value;
  }
  finish_step(particle, increment, step);
}

void Growth::finish_step(Particle* particle, Increment increment, std::uint32_t step) {
  particle->increments.push_back(increment.value());
  if (increment.value() > -infinity) return;
  particle->status = Status::dead;
  particle->death = {step, increment.culprit()};
}

double Growth::log_complete_of(std::size_t k, std::string_view text) const {
  PotentialState state = potentials_[k]->start();
  potentials_[k]->advance(state, text);
  return potentials_[k]->log_complete(state);
}

void Growth::evaluate_expensive(std::size_t k, Particle* particle, std::uint32_t step) const {
  const Potential& potential = *potentials_[k];
  if (particle->status == Status::stopped) {  // the cut may lie before the start of the batch
    particle->values[k] = log_complete_of(k, particle->text);
  } else {
    PotentialState& state = particle->states[k];
    state = particle->start.states[k];
    potential.advance(state, std::string_view(particle->text).substr(particle->start.text_bytes));
    particle->values[k] = is_finished(particle->status) ? potential.log_complete(state) : potential.log_prefix(state);
  }
  add_expensive(k, particle, step);
}

void Growth::add_expensive(std::size_t k, Particle* particle, std::uint32_t step) {
  Increment increment(particle->expensive_increment, particle->death.culprit);
  increment.add(particle->values[k] - particle->start.values[k], static_cast<Culprit>(k));
  particle->expensive_increment = increment.value();
  if (increment.value() == -infinity) particle->death = {step, increment.culprit()};
}

void Growth::restore(Particle* particle, std::size_t tokens) const {
  if (particle->increments.size() <= tokens) return;
  particle->increments.resize(tokens);
  particle->status = Status::growing;  // it took a further step after these
  particle->tokens.resize(particle->start.tokens + tokens);
  particle->values = particle->start.values;
  particle->states = particle->start.states;
  respell(particle);  // a stop string may have cut into what stood at the start of the batch
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (!is_cheap(k)) continue;
    PotentialState& state = particle->states[k];
    for (const TokenId token : std::span(particle->tokens).subspan(particle->start.tokens))
      potentials_[k]->advance(state, vocabulary_.bytes(token));
    particle->values[k] = potentials_[k]->log_prefix(state);
  }
}

ParticleState Growth::at_batch_start(const Particle& particle) const {
  ParticleState state = particle;
  state.status = particle.start.status;
  state.states = particle.start.states;
  state.values = particle.start.values;
  if (state.status != Status::growing) return state;
  state.death = {};
  state.tokens.resize(particle.start.tokens);
  respell(&state);
  return state;
}

void Growth::respell(ParticleState* particle) const {
  particle->text.clear();
  particle->stop_state = StopStrings::start();
  for (const TokenId token : particle->tokens) {
    particle->text += vocabulary_.bytes(token);
    stops_.advance(&particle->stop_state, vocabulary_.bytes(token));
  }
}

}  // namespace shoal::smc
