#include "smc/population.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "shoal/error.hpp"

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

template <class Strings>
void put_strings(const Strings& strings, ByteWriter* out) {
  out->put<std::uint64_t>(strings.size());
  for (const auto& s : strings) out->put_string(s);
}

std::vector<std::string> get_strings(ByteReader* in) {
  std::vector<std::string> strings(in->get<std::uint64_t>());
  for (std::string& s : strings) s = in->get_string();
  return strings;
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
                       Rank mine)
    : tree_(tree) {
  Particle first = first_particle(potentials);
  tree->retain(tree->root());
  first.context = ContextReference(tree, tree->root());
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] != mine) continue;
    particles_.push_back(first);
    particles_.back().id = LogicalId{static_cast<std::uint32_t>(i)};
  }
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

std::string Population::pack(LogicalId parent) const {
  const Particle* particle = find(parent);
  SHOAL_EXPECT(particle != nullptr);
  ByteWriter out;
  out.put(particle->status);
  out.put_span<TokenId>(particle->tokens);
  out.put_string(particle->text);
  out.put(particle->stop_state);
  put_strings(particle->states, &out);
  out.put_span<double>(particle->values);
  out.put_string(particle->context ? tree_->pack(particle->context.id()) : std::string());
  return out.take();
}

Particle Population::unpack(const Arrival& arrival) const {
  ByteReader in(arrival.state);
  Particle particle;
  particle.id = arrival.parent;
  particle.status = in.get<Status>();
  particle.tokens = in.get_vector<TokenId>();
  particle.text = in.get_string();
  particle.stop_state = in.get<StopStrings::State>();
  particle.states = get_strings(&in);
  particle.values = in.get_vector<double>();
  const std::string_view context = in.get_string();
  if (particle.status == Status::growing) particle.context = ContextReference(tree_, tree_->unpack(context));
  return particle;
}

void Population::drop_childless(std::span<const Birth> births) {
  std::unordered_set<LogicalId> parents;
  for (const Birth& birth : births) parents.insert(birth.parent);
  std::erase_if(particles_, [&](const Particle& p) { return !parents.contains(p.id); });
}

void Population::rebuild(const Exchange& exchange, double log_weight) {
  drop_childless(exchange.births);  // before the arrivals need room
  std::unordered_map<LogicalId, Particle> arrived;
  for (const Arrival& arrival : exchange.arrivals) arrived.emplace(arrival.parent, unpack(arrival));

  std::vector<Particle> children;
  children.reserve(exchange.births.size());
  for (const Birth& birth : exchange.births) {
    const auto from_elsewhere = arrived.find(birth.parent);
    const Particle* parent = from_elsewhere != arrived.end() ? &from_elsewhere->second : find(birth.parent);
    SHOAL_EXPECT(parent != nullptr);
    children.push_back(*parent);
    children.back().id = birth.child;
    children.back().log_weight = log_weight;
    children.back().begin_batch();
  }
  particles_ = std::move(children);
}

}  // namespace shoal::smc
