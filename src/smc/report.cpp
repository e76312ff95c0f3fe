#include "smc/report.hpp"

#include <algorithm>
#include <map>

#include "base/bytes.hpp"

namespace shoal::smc {
namespace {

/// The tokens that the batch added, the end of sequence as a token.
std::vector<TokenId> batch_tokens(const Particle& particle, TokenId end_token) {
  std::vector<TokenId> tokens(particle.tokens.begin() + static_cast<std::ptrdiff_t>(particle.start.tokens),
                              particle.tokens.end());
  if (is_finished(particle.status) && tokens.size() < particle.increments.size()) tokens.push_back(end_token);
  return tokens;
}

std::string pack_batch(const Population& population, std::uint64_t distinct_contexts, TokenId end_token) {
  ByteWriter out;
  out.put(distinct_contexts);
  for (const Particle& particle : population.particles()) {
    out.put(particle.id);
    out.put(is_finished(particle.updated_status()));
    out.put_span<TokenId>(batch_tokens(particle, end_token));
    out.put_span<double>(particle.values);
  }
  return out.take();
}

void unpack_batch(std::string_view packed, std::size_t batch_size, BatchRecord* record) {
  const std::size_t n = record->finished.size();
  ByteReader in(packed);
  record->unique_contexts += in.get<std::uint64_t>();
  while (!in.empty()) {
    const auto id = in.get<LogicalId>().value();
    record->finished[id] = in.get<bool>() ? 1 : 0;
    const auto tokens = in.get_vector<TokenId>();
    for (std::size_t t = 0; t < tokens.size(); ++t) record->token[id * batch_size + t] = tokens[t].value();
    const auto values = in.get_vector<double>();
    for (std::size_t k = 0; k < values.size(); ++k) record->potential[k * n + id] = values[k];
  }
}

/// Weight of each distinct text among the chosen particles.
template <class Chosen>
std::map<std::string_view, std::uint64_t> weight_by_text(std::span<const ParticleResult> particles,
                                                         const IntegerWeights& weights, const Chosen& chosen) {
  std::map<std::string_view, std::uint64_t> by_text;
  for (std::size_t i = 0; i < particles.size(); ++i)
    if (weights.q[i] > 0 && chosen(particles[i])) by_text[particles[i].text] += weights.q[i];
  return by_text;
}

}  // namespace

void gather_batch(Transport* transport, const Population& population, std::uint64_t distinct_contexts,
                  const BatchShape& shape, BatchRecord* record) {
  const auto packed = transport->gather(pack_batch(population, distinct_contexts, shape.end_token));
  if (transport->rank() != Rank{0}) return;
  record->token.assign(shape.particles * shape.batch_size, -1);
  record->finished.assign(shape.particles, 0);
  record->potential.assign(shape.potentials * shape.particles, 0.0);
  for (const std::string& part : packed) unpack_batch(part, shape.batch_size, record);
}

std::string pack_share(const Population& population, std::uint64_t particle_tokens, const Decoder& decoder) {
  ByteWriter out;
  out.put(particle_tokens);
  for (const Particle& particle : population.particles()) {
    out.put(particle.id);
    put(decoder.at_batch_start(particle), &out);
  }
  return out.take();
}

void unpack_shares(std::span<const std::string> shares, std::size_t particles, RunState* state) {
  state->particles.resize(particles);
  for (const std::string& share : shares) {
    ByteReader in(share);
    state->particle_tokens += in.get<std::uint64_t>();
    while (!in.empty()) {
      const auto id = in.get<LogicalId>().value();
      get(&in, &state->particles[id]);
    }
  }
}

std::vector<ParticleResult> gather_particles(Transport* transport, const Population& population,
                                             std::span<const double> log_weights) {
  ByteWriter out;
  for (const Particle& particle : population.particles()) {
    out.put(particle.id);
    out.put(is_finished(particle.status));
    out.put_string(particle.text);
    out.put_span<TokenId>(particle.tokens);
  }
  const auto packed = transport->gather(out.take());
  std::vector<ParticleResult> particles(transport->rank() == Rank{0} ? log_weights.size() : 0);
  for (const std::string& part : packed) {
    for (ByteReader in(part); !in.empty();) {
      const auto id = in.get<LogicalId>().value();
      ParticleResult& particle = particles[id];
      particle.log_weight = log_weights[id];
      particle.finished = in.get<bool>();
      particle.text = in.get_string();
      particle.tokens = in.get_vector<TokenId>();
    }
  }
  return particles;
}

std::vector<PosteriorEntry> posterior_of(std::span<const ParticleResult> particles, const IntegerWeights& weights) {
  std::vector<PosteriorEntry> posterior;
  for (const auto& [text, weight] : weight_by_text(particles, weights, [](const ParticleResult&) { return true; }))
    posterior.push_back({std::string(text), static_cast<double>(weight) / static_cast<double>(weights.total)});
  std::stable_sort(posterior.begin(), posterior.end(),
                   [](const PosteriorEntry& a, const PosteriorEntry& b) { return a.probability > b.probability; });
  return posterior;
}

std::string best_text(std::span<const ParticleResult> particles, const IntegerWeights& weights) {
  auto by_text = weight_by_text(particles, weights, [](const ParticleResult& p) { return p.finished; });
  if (by_text.empty()) by_text = weight_by_text(particles, weights, [](const ParticleResult&) { return true; });
  const auto best = std::max_element(by_text.begin(), by_text.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return best == by_text.end() ? std::string() : std::string(best->first);
}

}  // namespace shoal::smc
