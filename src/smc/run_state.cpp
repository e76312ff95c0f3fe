#include "smc/run_state.hpp"

#include <algorithm>
#include <type_traits>

#include "base/bytes.hpp"
#include "shoal/error.hpp"

namespace shoal::smc {
namespace {

static_assert(std::is_trivially_copyable_v<MigrationStats> && std::is_trivially_copyable_v<PhaseTimes>);

bool fits(const ParticleState& particle, std::size_t potentials, const Options& options, int vocabulary_size) {
  return particle.states.size() == potentials && particle.values.size() == potentials &&
         particle.status <= Status::dead && particle.tokens.size() <= static_cast<std::size_t>(options.max_tokens) &&
         std::all_of(particle.tokens.begin(), particle.tokens.end(),
                     [&](TokenId token) { return token.value() >= 0 && token.value() < vocabulary_size; });
}

}  // namespace

void put(const ParticleState& particle, ByteWriter* out) {
  out->put(particle.status);
  out->put_span<TokenId>(particle.tokens);
  out->put_string(particle.text);
  out->put(particle.stop_state);
  out->put<std::uint64_t>(particle.states.size());
  for (const PotentialState& state : particle.states) out->put_string(state);
  out->put_span<double>(particle.values);
  out->put(particle.log_weight);
  out->put(particle.death);
}

void get(ByteReader* in, ParticleState* particle) {
  particle->status = in->get<Status>();
  particle->tokens = in->get_vector<TokenId>();
  particle->text = in->get_string();
  particle->stop_state = in->get<StopStrings::State>();
  particle->states.resize(in->get<std::uint64_t>());
  for (PotentialState& state : particle->states) state = in->get_string();
  particle->values = in->get_vector<double>();
  particle->log_weight = in->get<double>();
  particle->death = in->get<Death>();
}

std::string to_bytes(const RunState& state) {
  ByteWriter out;
  out.put(state.batches);
  out.put(state.steps);
  out.put(state.particle_tokens);
  out.put(state.migration);
  out.put(state.elapsed_s);
  out.put(state.times);
  out.put<std::uint64_t>(state.particles.size());
  for (const ParticleState& particle : state.particles) put(particle, &out);
  return out.take();
}

RunState run_state_from(std::string_view bytes) {
  ByteReader in(bytes);
  RunState state;
  state.batches = in.get<std::uint32_t>();
  state.steps = in.get<std::uint32_t>();
  state.particle_tokens = in.get<std::uint64_t>();
  state.migration = in.get<MigrationStats>();
  state.elapsed_s = in.get<double>();
  state.times = in.get<PhaseTimes>();
  state.particles.resize(in.get<std::uint64_t>());
  for (ParticleState& particle : state.particles) get(&in, &particle);
  return state;
}

void check_fit(const RunState& state, const Options& options, std::span<const PotentialPtr> potentials,
               int vocabulary_size) {
  const bool all_fit = std::all_of(state.particles.begin(), state.particles.end(), [&](const ParticleState& particle) {
    return fits(particle, potentials.size(), options, vocabulary_size);
  });
  if (!all_fit || state.particles.size() != static_cast<std::size_t>(options.particles))
    throw UsageError(
        "the saved state is not one of this run (another number of particles, potentials or tokens) start from one "
        "that the same command has written");
}

}  // namespace shoal::smc
