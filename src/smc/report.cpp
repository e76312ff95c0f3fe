#include "smc/report.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/bytes.hpp"
#include "smc/equal_histories.hpp"
#include "smc/joint_steps.hpp"

namespace shoal::smc {
namespace {

/// The tokens that the batch added, the end of sequence as a token.
std::vector<TokenId> batch_tokens(const History& history, TokenId end_token) {
  std::vector<TokenId> tokens(history.tokens.begin() + static_cast<std::ptrdiff_t>(history.start.tokens),
                              history.tokens.end());
  if (is_finished(history.status) && tokens.size() < history.increments.size()) tokens.push_back(end_token);
  return tokens;
}

std::string pack_batch(const Population& population, TokenId end_token) {
  ByteWriter out;
  for (std::size_t place = 0; place < population.ids().size(); ++place) {
    const History& history = population.histories()[population.history_of()[place]];
    out.put(population.ids()[place]);
    out.put(is_finished(history.updated_status()));
    out.put_span<TokenId>(batch_tokens(history, end_token));
    out.put_span<double>(history.values);
  }
  return out.take();
}

void unpack_batch(std::string_view packed, std::size_t batch_size, BatchRecord* record) {
  const std::size_t n = record->finished.size();
  ByteReader in(packed);
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
                                                         std::span<const std::uint64_t> weight, const Chosen& chosen) {
  std::map<std::string_view, std::uint64_t> by_text;
  for (std::size_t i = 0; i < particles.size(); ++i)
    if (weight[i] > 0 && chosen(particles[i])) by_text[particles[i].text] += weight[i];
  return by_text;
}

struct ListedHistory {
  ParticleResult result;
  Status status = Status::growing;
  std::uint64_t weight = 0;
};

std::string pack_particles(Population population) {
  ByteWriter out;
  for (std::size_t place = 0; place < population.ids().size(); ++place) {
    const History& history = population.histories()[population.history_of()[place]];
    out.put(population.ids()[place]);
    out.put(is_finished(history.status));
    out.put_string(history.text);
    out.put_span<TokenId>(history.tokens);
  }
  return out.take();
}

/// Each history's memory is free once it is packed.
std::string pack_histories(Population population, std::span<const std::uint64_t> q) {
  std::vector<std::uint64_t> count(population.histories().size(), 0);
  for (const std::uint32_t history : population.history_of()) ++count[history];
  ByteWriter out;
  for (std::size_t h = 0; h < count.size(); ++h) {
    const History history = std::move(population.histories()[h]);
    out.put(history.updated_status());
    out.put_string(history.text);
    out.put_span<TokenId>(history.tokens);
    out.put(history.updated_log_weight());
    out.put(count[h]);
    out.put(count[h] * q[h]);
  }
  return out.take();
}

std::vector<ListedHistory> unpack_histories(std::vector<std::string> packed) {
  std::vector<ListedHistory> all;
  for (std::string& part : packed) {
    for (ByteReader in(part); !in.empty();) {
      ListedHistory& one = all.emplace_back();
      one.status = in.get<Status>();
      one.result.finished = is_finished(one.status);
      one.result.text = in.get_string();
      one.result.tokens = in.get_vector<TokenId>();
      one.result.log_weight = in.get<double>();
      one.result.count = in.get<std::uint64_t>();
      one.weight = in.get<std::uint64_t>();
    }
    std::string().swap(part);
  }
  return all;
}

/// Several ranks may have the same.
void merge_ranks(std::vector<ListedHistory>* all) {
  const auto key = [](const ListedHistory& h) { return std::tie(h.result.tokens, h.status); };
  std::sort(all->begin(), all->end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < all->size(); ++i) {
    ListedHistory& one = (*all)[i];
    if (kept > 0 && key((*all)[kept - 1]) == key(one)) {
      (*all)[kept - 1].result.count += one.result.count;
      (*all)[kept - 1].weight += one.weight;
    } else {
      if (kept != i) (*all)[kept] = std::move(one);
      ++kept;
    }
  }
  all->resize(kept);
}

}  // namespace

void gather_batch(Transport* transport, const Population& population, const BatchShape& shape, BatchRecord* record) {
  const auto packed = transport->gather(pack_batch(population, shape.end_token));
  if (transport->rank() != Rank{0}) return;
  record->token.assign(shape.particles * shape.batch_size, -1);
  record->finished.assign(shape.particles, 0);
  record->potential.assign(shape.potentials * shape.particles, 0.0);
  for (const std::string& part : packed) unpack_batch(part, shape.batch_size, record);
}

std::string pack_share(const Population& population, std::uint64_t particle_tokens, const Decoder& decoder) {
  ByteWriter out;
  out.put(particle_tokens);
  out.put<std::uint64_t>(population.histories().size());
  for (const History& history : population.histories()) put(decoder.at_batch_start(history), &out);
  out.put_span(population.ids());
  out.put_span(population.history_of());
  return out.take();
}

void unpack_shares(std::span<const std::string> shares, std::size_t particles, RunState* state) {
  state->history_of.resize(particles);
  for (const std::string& share : shares) {
    ByteReader in(share);
    state->particle_tokens += in.get<std::uint64_t>();
    const auto first = static_cast<std::uint32_t>(state->histories.size());
    state->histories.resize(first + in.get<std::uint64_t>());
    for (std::size_t h = first; h < state->histories.size(); ++h) get(&in, &state->histories[h]);
    const auto ids = in.get_vector<LogicalId>();
    const auto history_of = in.get_vector<std::uint32_t>();
    for (std::size_t place = 0; place < ids.size(); ++place)
      state->history_of[ids[place].value()] = first + history_of[place];
  }
  const auto moved_to = merge_equal(&state->histories, [](HistoryState*, const HistoryState&) {});
  for (std::uint32_t& history : state->history_of) history = moved_to[history];
}

std::vector<ParticleResult> gather_particles(Transport* transport, Population population,
                                             std::span<const double> log_weights) {
  std::string mine;
  JointSteps steps(transport);
  steps.attempt([&] { mine = pack_particles(std::move(population)); });
  steps.agree();
  auto packed = transport->gather(mine);
  std::vector<ParticleResult> particles(transport->rank() == Rank{0} ? log_weights.size() : 0);
  for (std::string& part : packed) {
    for (ByteReader in(part); !in.empty();) {
      const auto id = in.get<LogicalId>().value();
      ParticleResult& particle = particles[id];
      particle.log_weight = log_weights[id];
      particle.finished = in.get<bool>();
      particle.text = in.get_string();
      particle.tokens = in.get_vector<TokenId>();
    }
    std::string().swap(part);
  }
  return particles;
}

HistoryList gather_histories(Transport* transport, Population population, std::span<const std::uint64_t> q) {
  JointSteps steps(transport);
  std::string packed;
  steps.attempt([&] { packed = pack_histories(std::move(population), q); });
  steps.agree();
  std::vector<ListedHistory> all = unpack_histories(transport->gather(packed));
  merge_ranks(&all);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.weight > b.weight; });
  HistoryList list;
  list.histories.reserve(all.size());
  list.weight.reserve(all.size());
  for (ListedHistory& one : all) {
    list.histories.push_back(std::move(one.result));
    list.weight.push_back(one.weight);
  }
  return list;
}

std::vector<PosteriorEntry> posterior_of(std::span<const ParticleResult> particles,
                                         std::span<const std::uint64_t> weight) {
  const auto total = static_cast<double>(std::accumulate(weight.begin(), weight.end(), std::uint64_t{0}));
  std::vector<PosteriorEntry> posterior;
  for (const auto& [text, of_text] : weight_by_text(particles, weight, [](const ParticleResult&) { return true; }))
    posterior.push_back({std::string(text), static_cast<double>(of_text) / total});
  std::stable_sort(posterior.begin(), posterior.end(),
                   [](const PosteriorEntry& a, const PosteriorEntry& b) { return a.probability > b.probability; });
  return posterior;
}

std::string best_text(std::span<const ParticleResult> particles, std::span<const std::uint64_t> weight) {
  auto by_text = weight_by_text(particles, weight, [](const ParticleResult& p) { return p.finished; });
  if (by_text.empty()) by_text = weight_by_text(particles, weight, [](const ParticleResult&) { return true; });
  const auto best = std::max_element(by_text.begin(), by_text.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return best == by_text.end() ? std::string() : std::string(best->first);
}

}  // namespace shoal::smc
