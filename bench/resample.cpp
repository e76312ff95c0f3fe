// Resampling of very many particles: a hidden Markov model of eight states, whose particles lie in blocks on the ranks.
// Prints the time of each phase of a step, and with --check whether the bits are those of one process with a vector of
// N.
//   mpirun -n 2 bench_resample --particles 16777216 --steps 3 --check
#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "base/exact_math.hpp"
#include "base/stopwatch.hpp"
#include "cluster/mpi_transport.hpp"
#include "smc/block_resampling.hpp"

namespace shoal {
namespace {

using smc::Resampling;

constexpr RandomKey key{20};
constexpr int states = 8;

struct Settings {
  std::size_t particles = std::size_t{1} << 20U;
  int steps = 10;
  Resampling scheme = Resampling::systematic;
  bool check = false;
};

/// Of a particle that was in @p state: most move to a neighbour.
std::uint8_t next_state(std::uint8_t state, std::uint32_t step, std::size_t id) {
  const double u = random_uniform(key, step, LogicalId{static_cast<std::uint32_t>(id)}, Purpose::synthetic);
  const int move = u < 0.25 ? states - 1 : u < 0.5 ? 0 : u < 0.9 ? 1 : 4;
  return static_cast<std::uint8_t>((state + move) % states);
}

double log_weight_of(std::uint8_t state, int step) { return -0.9 * ((state + 3 * step) % states); }

struct Outcome {
  double log_z = 0.0;
  std::uint64_t hash = 0;  ///< of all particles' states, a sum over (id, state)

  void add(std::size_t id, std::uint8_t state) {
    std::uint64_t x = (id * 0x9E3779B97F4A7C15ULL) ^ (state * 0xD6E8FEB86659FD93ULL);
    x ^= x >> 29U;
    hash += x * 0xBF58476D1CE4E5B9ULL;
  }
};

struct Seconds {
  double propagate = 0.0, weights = 0.0, offspring = 0.0, exchange = 0.0;
};

/// The states of the children of this rank's particles in [begin, end), from those of the parents.
std::string children_of(const smc::BlockOffspring& offspring, const std::vector<std::uint8_t>& parents,
                        std::size_t first, const smc::ChildRange& range) {
  std::string out;
  out.reserve(range.end - range.begin);
  for (std::size_t i = 0, child = first; i < parents.size() && child < range.end; child += offspring.counts[i++]) {
    const std::size_t begin = std::max(child, range.begin);
    const std::size_t end = std::min(child + offspring.counts[i], range.end);
    if (begin < end) out.append(end - begin, static_cast<char>(parents[i]));
  }
  return out;
}

std::vector<std::uint8_t> exchange(const smc::BlockOffspring& offspring, const std::vector<std::uint8_t>& parents,
                                   smc::Transport* transport, std::uint64_t* moved) {
  const Rank mine = transport->rank();
  const std::size_t first = offspring.first_child[static_cast<std::size_t>(mine.value())];
  std::vector<smc::Parcel> outgoing, incoming;
  std::string own;
  for (const smc::ChildRange& range : smc::children_by_destination(offspring.first_child, mine)) {
    std::string bytes = children_of(offspring, parents, first, range);
    if (range.peer == mine) {
      own = std::move(bytes);
    } else {
      *moved += bytes.size();
      outgoing.push_back({range.peer, std::move(bytes)});
    }
  }
  const auto origins = smc::children_by_origin(offspring.first_child, mine);
  for (const smc::ChildRange& range : origins)
    if (range.peer != mine) incoming.push_back({range.peer, std::string(range.end - range.begin, '\0')});
  const auto shipment = transport->ship(std::move(outgoing), std::move(incoming));
  shipment->wait([] { return false; });
  const auto arrived = shipment->take();
  std::vector<std::uint8_t> children;
  auto next = arrived.begin();
  for (const smc::ChildRange& range : origins) {
    const std::string& bytes = range.peer == mine ? own : *next++;
    children.insert(children.end(), bytes.begin(), bytes.end());
  }
  return children;
}

smc::BlockWeights weigh(std::span<const double> log_weights, std::size_t particles, smc::JointSteps* steps) {
  smc::BlockWeights weights;
  weights.particles = particles;
  weights.scale = smc::weight_scale(particles);
  weights.max = smc::largest_log_weight(log_weights, 0);
  steps->transport().allreduce_max({&weights.max, 1});
  smc::add_integer_weights(log_weights, &weights);
  smc::sum_over_ranks(&weights, steps);
  return weights;
}

Outcome run_in_blocks(const Settings& s, smc::Transport* transport, Seconds* seconds, std::uint64_t* moved) {
  const std::size_t begin = smc::block_begin(s.particles, transport->size(), transport->rank().value());
  const std::size_t end = smc::block_begin(s.particles, transport->size(), transport->rank().value() + 1);
  std::vector<std::uint8_t> state(end - begin, 0);
  std::vector<double> log_weight(state.size());
  Outcome outcome;
  for (int t = 0; t < s.steps; ++t) {
    {
      const ScopedTimer timer(&seconds->propagate);
      for (std::size_t i = 0; i < state.size(); ++i) {
        state[i] = next_state(state[i], static_cast<std::uint32_t>(t), begin + i);
        log_weight[i] = log_weight_of(state[i], t);
      }
    }
    smc::JointSteps steps(transport);
    smc::BlockWeights weights;
    {
      const ScopedTimer timer(&seconds->weights);
      weights = weigh(log_weight, s.particles, &steps);
    }
    outcome.log_z += smc::log_mean_weight(weights);
    smc::BlockOffspring offspring;
    {
      const ScopedTimer timer(&seconds->offspring);
      offspring = smc::block_offspring(s.scheme, weights, key, static_cast<std::uint32_t>(t), &steps);
    }
    const ScopedTimer timer(&seconds->exchange);
    state = exchange(offspring, state, transport, moved);
  }
  for (std::size_t i = 0; i < state.size(); ++i) outcome.add(begin + i, state[i]);
  return outcome;
}

/// With vectors of N, as runs of up to some ten thousand particles have them.
Outcome run_whole(const Settings& s, Seconds* seconds) {
  std::vector<std::uint8_t> state(s.particles, 0);
  std::vector<double> log_weight(state.size());
  Outcome outcome;
  for (int t = 0; t < s.steps; ++t) {
    {
      const ScopedTimer timer(&seconds->propagate);
      for (std::size_t i = 0; i < state.size(); ++i) {
        state[i] = next_state(state[i], static_cast<std::uint32_t>(t), i);
        log_weight[i] = log_weight_of(state[i], t);
      }
    }
    smc::IntegerWeights weights;
    {
      const ScopedTimer timer(&seconds->weights);
      weights = smc::integer_weights(log_weight);
    }
    outcome.log_z += smc::log_mean_weight(weights);
    std::vector<std::uint32_t> counts;
    {
      const ScopedTimer timer(&seconds->offspring);
      const auto words = smc::resampling_words(s.scheme, s.particles, key, static_cast<std::uint32_t>(t));
      counts = smc::offspring_counts(s.scheme, weights.q, words);
    }
    const ScopedTimer timer(&seconds->exchange);
    std::vector<std::uint8_t> children;
    children.reserve(state.size());
    for (std::size_t i = 0; i < state.size(); ++i) children.insert(children.end(), counts[i], state[i]);
    state = std::move(children);
  }
  for (std::size_t i = 0; i < state.size(); ++i) outcome.add(i, state[i]);
  return outcome;
}

Resampling scheme_of(const std::string& name) {
  if (name == "multinomial") return Resampling::multinomial;
  if (name == "stratified") return Resampling::stratified;
  if (name == "residual") return Resampling::residual;
  return Resampling::systematic;
}

Settings parse(int argc, char** argv) {
  namespace po = boost::program_options;
  Settings s;
  std::string scheme = "systematic";
  po::options_description options("bench_resample");
  options.add_options()("particles", po::value(&s.particles))("steps", po::value(&s.steps))(
      "resampling", po::value(&scheme), "systematic, stratified, residual or multinomial")(
      "check", po::bool_switch(&s.check), "compare with one process");
  po::variables_map map;
  po::store(po::parse_command_line(argc, argv, options), map);
  po::notify(map);
  s.scheme = scheme_of(scheme);
  return s;
}

void print(const char* name, const Seconds& t, const Settings& s) {
  const double scale = 1e3 / s.steps;
  std::printf("%-10s ms a step: propagate %8.2f  weights %8.2f  offspring %8.2f  exchange %8.2f\n", name,
              t.propagate * scale, t.weights * scale, t.offspring * scale, t.exchange * scale);
}

/// Slowest rank of each phase.
Seconds slowest(const Seconds& mine, smc::Transport* transport) {
  std::array<double, 4> all{mine.propagate, mine.weights, mine.offspring, mine.exchange};
  transport->allreduce_max(all);
  return {all[0], all[1], all[2], all[3]};
}

/// Sum over the ranks, by way of their gathered values.
std::uint64_t sum_of(std::uint64_t mine, smc::Transport* transport) {
  std::uint64_t sum = 0;
  for (const std::string& part : transport->gather({reinterpret_cast<const char*>(&mine), sizeof mine})) {
    std::uint64_t value = 0;
    std::memcpy(&value, part.data(), sizeof value);
    sum += value;
  }
  return sum;
}

int run(const Settings& s) {
  const auto world = cluster::World::shared();
  cluster::MpiTransport transport(*world, std::nullopt);
  Seconds seconds;
  std::uint64_t moved = 0;
  Outcome blocks = run_in_blocks(s, &transport, &seconds, &moved);
  seconds = slowest(seconds, &transport);
  blocks.hash = sum_of(blocks.hash, &transport);
  moved = sum_of(moved, &transport);
  if (world->rank() != Rank{0}) return 0;

  std::printf("%zu particles on %d rank(s), %d steps; slowest rank of each phase\n", s.particles, world->size(),
              s.steps);
  print("blocks", seconds, s);
  std::printf("log Z-hat %.17g, states %016llx, %.2f %% of the children moved\n", blocks.log_z,
              static_cast<unsigned long long>(blocks.hash),
              100.0 * static_cast<double>(moved) / (static_cast<double>(s.particles) * s.steps));
  if (!s.check) return 0;
  Seconds serial;
  const Outcome whole = run_whole(s, &serial);
  print("vector", serial, s);
  const bool same = whole.hash == blocks.hash && std::memcmp(&whole.log_z, &blocks.log_z, sizeof whole.log_z) == 0;
  std::printf("%s\n", same ? "same bits" : "DIFFERENT BITS");
  return same ? 0 : 1;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  try {
    return shoal::run(shoal::parse(argc, argv));
  } catch (const std::exception& e) {
    std::cerr << "bench_resample: error: " << e.what() << '\n';
    return 2;
  }
}
