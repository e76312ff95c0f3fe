#include "cluster/migration_choice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/stopwatch.hpp"
#include "cluster/links.hpp"

namespace shoal::cluster {
namespace {

constexpr int probe_tag = 4;
constexpr std::size_t probe_bytes = std::size_t{1} << 20U;
constexpr int probe_tokens = 64;
constexpr int rounds = 2;  // the first warms up

double time_messages(const Links& links, Rank to, Rank from) {
  const Stopwatch watch;
  Message incoming = Message::receive(std::string(probe_bytes, '\0'), from, probe_tag, links.data);
  Message outgoing = Message::send(std::string(probe_bytes, '\0'), to, probe_tag, links.data);
  for (const Pause pause(links.idle); !incoming.done() || !outgoing.done();) pause.rest();
  return watch.seconds();
}

double time_blocks(Links* links, lm::GpuLinks* gpus, Rank to, Rank from) {
  Heartbeat::Watch watch(&links->heartbeat);
  return gpus->time_exchange(to.value(), from.value(), probe_bytes, [&] { watch.look(); });
}

/// All ranks send at the same time, each to the one half a world away: mostly between nodes, as migrations do.
double measure_bandwidth(Links* links, lm::GpuLinks* gpus) {
  const int half = links->size / 2;
  const Rank to{(links->rank.value() + half) % links->size};
  const Rank from{(links->rank.value() + links->size - half) % links->size};
  double seconds = 0.0;
  for (int round = 0; round < rounds; ++round) {
    check(MPI_Barrier(links->data.get()), "MPI_Barrier");
    seconds = gpus == nullptr ? time_messages(*links, to, from) : time_blocks(links, gpus, to, from);
  }
  return static_cast<double>(probe_bytes) / seconds;
}

double measure_prefill(const LanguageModel& model) {
  const int count = std::min(probe_tokens, model.summary().max_context);
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.emplace_back(i % model.vocabulary().size());
  double seconds = 0.0;
  for (int round = 0; round < rounds; ++round) {
    const Stopwatch watch;
    (void)model.open(tokens, {});
    seconds = watch.seconds();
  }
  return count / seconds;
}

}  // namespace

smc::Migrate faster_migration(double bandwidth, std::uint64_t bytes_per_token, double tokens_per_s) {
  return bandwidth > static_cast<double>(bytes_per_token) * tokens_per_s ? smc::Migrate::key_values
                                                                         : smc::Migrate::tokens;
}

smc::Migrate choose_migration(World& world, const LanguageModel& model, lm::GpuLinks* gpus) {
  const std::uint64_t bytes_per_token = model.summary().kv_bytes_per_token;
  if (world.size() == 1 || bytes_per_token == 0) return smc::Migrate::key_values;
  const double tokens_per_s = world.together([&] { return measure_prefill(model); });
  std::array<double, 2> worst{-measure_bandwidth(&world.links(), gpus), tokens_per_s};
  check(MPI_Allreduce(MPI_IN_PLACE, worst.data(), worst.size(), MPI_DOUBLE, MPI_MAX, world.links().data.get()),
        "MPI_Allreduce");
  return faster_migration(-worst[0], bytes_per_token, worst[1]);
}

double choose_spare(const ModelSummary& model, double share) {
  const bool all_particles_cost_alike = model.kv_bytes_per_token > 0 && model.device == "cpu";
  return all_particles_cost_alike ? 0.0 : 1.0 / std::sqrt(share);
}

}  // namespace shoal::cluster
