#include "smc/population.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "base/assert.hpp"
#include "shoal/error.hpp"
#include "smc/context_rebuild.hpp"

namespace shoal::smc {
namespace {

Particle first_particle(std::span<const PotentialPtr> potentials) {
  Particle particle;
  for (const PotentialPtr& potential : potentials) {
    particle.states.push_back(potential->start());
    particle.values.push_back(potential->log_prefix(particle.states.back()));
    if (particle.values.back() == -std::numeric_limits<double>::infinity())
      throw UsageError("potential '" + potential->name() +
                       "' is zero on the empty text (no answer can satisfy it) loosen or remove it");
    particle.log_weight += particle.values.back();
  }
  particle.begin_batch();
  return particle;
}

}  // namespace

double Particle::updated_log_weight() const {
  double sum = log_weight;
  for (const double increment : increments) sum += increment;
  return sum + expensive_increment;
}

Status Particle::updated_status() const {
  return updated_log_weight() == -std::numeric_limits<double>::infinity() ? Status::dead : status;
}

void Particle::begin_batch() {
  status = updated_status();
  log_weight = updated_log_weight();
  increments.clear();
  expensive_increment = 0.0;
  start = {status, tokens.size(), text.size(), states, values};
}

Population::Population(ContextTree* tree, std::span<const PotentialPtr> potentials, std::span<const Rank> owners,
                       Rank mine) {
  Particle first = first_particle(potentials);
  tree->retain(tree->root());
  first.context = ContextReference(tree, tree->root());
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] != mine) continue;
    particles_.push_back(first);
    particles_.back().id = LogicalId{static_cast<std::uint32_t>(i)};
  }
}

Population::Population(ContextTree* tree, std::size_t vocabulary_size, std::span<const ParticleState> start,
                       std::span<const Rank> owners, Rank mine) {
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] != mine) continue;
    Particle& particle = particles_.emplace_back();
    static_cast<ParticleState&>(particle) = start[i];
    particle.id = LogicalId{static_cast<std::uint32_t>(i)};
    particle.begin_batch();
  }
  rebuild_growing(tree, vocabulary_size, particles_);
}

bool Population::any_growing() const {
  return std::any_of(particles_.begin(), particles_.end(),
                     [](const Particle& p) { return p.status == Status::growing; });
}

const Particle* Population::find(LogicalId id) const {
  const auto at = std::lower_bound(particles_.begin(), particles_.end(), id,
                                   [](const Particle& p, LogicalId wanted) { return p.id < wanted; });
  return at != particles_.end() && at->id == id ? &*at : nullptr;
}

const Particle& Population::at(LogicalId id) const {
  const Particle* particle = find(id);
  SHOAL_EXPECT(particle != nullptr);
  return *particle;
}

void Population::keep_parents(std::span<const Birth> births) {
  std::unordered_set<LogicalId> parents;
  for (const Birth& birth : births) parents.insert(birth.parent);
  std::erase_if(particles_, [&](const Particle& p) { return !parents.contains(p.id); });
}

void Population::rebuild(std::span<const Birth> births, std::span<const Particle> arrivals, double log_weight) {
  std::unordered_map<LogicalId, const Particle*> arrived;
  for (const Particle& arrival : arrivals) arrived.emplace(arrival.id, &arrival);

  std::vector<Particle> children;
  children.reserve(births.size());
  for (const Birth& birth : births) {
    const auto from_elsewhere = arrived.find(birth.parent);
    children.push_back(from_elsewhere != arrived.end() ? *from_elsewhere->second : at(birth.parent));
    children.back().id = birth.child;
    children.back().log_weight = log_weight;
    children.back().begin_batch();
  }
  particles_ = std::move(children);
}

void Population::end_waiting() {
  for (Particle& particle : particles_) particle.waiting = false;
}

Population::Progress Population::progress() const {
  Progress progress;
  for (const Particle& particle : particles_) {
    const std::size_t made = particle.increments.size() + (particle.drawing ? 1 : 0);
    progress.most = std::max(progress.most, made);
    if (particle.status != Status::growing) continue;
    progress.least = std::min(progress.least.value_or(made), made);
    if (!particle.waiting) progress.least_ready = std::min(progress.least_ready.value_or(made), made);
  }
  return progress;
}

}  // namespace shoal::smc
