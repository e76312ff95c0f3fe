#include "smc/ballot.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal::smc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Deaths in the order of their steps; (step, culprit) can be read back for steps below 2^31 and 2^20 potentials.
constexpr double culprits = 1 << 20U;

double code_of(const Death& death) { return death.step * culprits + (death.culprit + 2); }

}  // namespace

Ballot::Ballot(std::size_t particles) : log_weight(particles, -infinity) {}

Ballot Ballot::with_finished(std::size_t particles) {
  Ballot ballot(particles);
  ballot.finished.assign(particles, 0.0);
  return ballot;
}

void Ballot::count(const Population& population) {
  std::vector<double> weights;
  std::vector<std::uint8_t> has_finished;
  bool bad = false;
  for (const History& history : population.histories()) {
    const Status status = history.updated_status();
    weights.push_back(history.updated_log_weight());
    has_finished.push_back(is_finished(status) ? 1 : 0);
    if (weights.back() < infinity)
      largest = std::max(largest, weights.back());
    else
      bad = true;
    if (status == Status::growing) growing = 1.0;
    if (status == Status::forced) forced = 1.0;
    if (status == Status::dead) last_death = std::max(last_death, code_of(history.death));
  }
  if (log_weight.empty() && !bad) return;
  for (std::size_t place = 0; place < population.ids().size(); ++place) {
    const auto id = population.ids()[place].value();
    const std::uint32_t history = population.history_of()[place];
    if (!(weights[history] < infinity))
      bad_particle = std::max(bad_particle, static_cast<double>(id));
    else if (!log_weight.empty())
      log_weight[id] = weights[history];
    if (!finished.empty()) finished[id] = has_finished[history];
  }
}

void Ballot::agree(Transport* transport) {
  double* const flags[] = {&failed_rank, &bad_particle, &deadline,   &signal,   &steps,      &minus_limit,
                           &growing,     &forced,       &last_death, &observed, &checkpoint, &largest};
  std::vector<double> entries;
  for (const double* flag : flags) entries.push_back(*flag);
  entries.insert(entries.end(), log_weight.begin(), log_weight.end());
  entries.insert(entries.end(), finished.begin(), finished.end());
  entries.insert(entries.end(), bytes.begin(), bytes.end());

  transport->allreduce_max(entries);

  auto from = entries.cbegin();
  for (double* flag : flags) *flag = *from++;
  for (double& weight : log_weight) weight = *from++;
  for (double& share : finished) share = *from++;
  for (double& of_rank : bytes) of_rank = *from++;
}

std::size_t Ballot::agreed_tokens() const { return static_cast<std::size_t>(std::min(steps, -minus_limit)); }

Culprit Ballot::last_culprit() const {
  return last_death == 0.0 ? model_culprit : static_cast<Culprit>(std::fmod(last_death, culprits)) - 2;
}

}  // namespace shoal::smc
