// Scaling curves of a recorded run on machines larger than the one at hand.
//   bench_scale run.h5 --ranks-per-node 8 --bandwidth 12.5 --kv-bytes 131072
#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "cluster/migration_choice.hpp"
#include "scale_model.hpp"
#include "smc/transport.hpp"

namespace shoal::bench {
namespace {

struct Settings {
  std::string trace;
  Machine machine;
  double fixed_share = 0.5;
  double step_ms = 0.0;  ///< 0: as recorded
  std::size_t particles_per_rank = 64;
  int max_ranks = 4096;
  double ess_threshold = 0.5;
  std::optional<double> spare_percent;  ///< nothing: as runs on GPUs choose it
};

Settings parse(int argc, char** argv) {
  namespace po = boost::program_options;
  Settings s;
  double latency_us = 2.0;
  double bandwidth = 12.5;
  double node_bandwidth = 50.0;
  po::options_description options("bench_scale TRACE");
  options.add_options()("trace", po::value(&s.trace)->required(), "recorded by shoal generate --trace")(
      "ranks-per-node", po::value(&s.machine.ranks_per_node), "(8)")(
      "latency", po::value(&latency_us), "microseconds between nodes (2)")("bandwidth", po::value(&bandwidth),
                                                                           "GB/s of a node's card (12.5: 100 Gb/s)")(
      "node-bandwidth", po::value(&node_bandwidth), "GB/s of a rank inside its node (50)")(
      "kv-bytes", po::value(&s.machine.kv_bytes), "of one token (131072: 8B parameters, grouped queries, bf16)")(
      "prompt-tokens", po::value(&s.machine.prompt_tokens), "(64)")(
      "step-ms", po::value(&s.step_ms), "of a token step with that many particles a rank (as recorded)")(
      "fixed-share", po::value(&s.fixed_share), "of a token step, that does not depend on the particles (0.5)")(
      "particles-per-rank", po::value(&s.particles_per_rank), "for weak scaling (64)")(
      "max-ranks", po::value(&s.max_ranks), "(4096)")("ess-threshold", po::value(&s.ess_threshold), "(0.5)")(
      "spare", po::value<double>()->notifier([&](double v) { s.spare_percent = v; }),
      "percent (as shoal generate chooses on GPUs)")("patience", po::value(&s.machine.patience),
                                                     "token steps that ranks wait for what travels (0.25)");
  po::positional_options_description positional;
  positional.add("trace", 1);
  po::variables_map map;
  po::store(po::command_line_parser(argc, argv).options(options).positional(positional).run(), map);
  po::notify(map);
  s.machine.latency_s = latency_us * 1e-6;
  s.machine.bandwidth = bandwidth * 1e9;
  s.machine.node_bandwidth = node_bandwidth * 1e9;
  return s;
}

/// A token step of the recorded run on rank 0, spread over fixed and per-particle cost.
void set_step_times(const trace::Trace& trace, Settings* s) {
  double step_s = s->step_ms * 1e-3;
  double particles = static_cast<double>(s->particles_per_rank);
  if (s->step_ms == 0.0) {
    double tokens = 0.0;
    for (const smc::BatchRecord& record : trace.batches) {
      step_s += record.times.decode_s + record.times.potential_s;
      tokens += record.tokens;
    }
    step_s /= std::max(1.0, tokens);
    particles = static_cast<double>(trace.info.particles) / trace.info.ranks;
  }
  s->machine.step_s = s->fixed_share * step_s;
  s->machine.particle_s = (1.0 - s->fixed_share) * step_s / particles;
}

void print_assumptions(const Settings& s, const trace::Trace& trace) {
  const Machine& m = s.machine;
  std::printf(
      "Recorded: %s, %d particles, %zu batches.\n"
      "Assumed: %d ranks per node; %.2g us between nodes; %.3g GB/s per node card (its ranks share it), %.3g GB/s "
      "inside\n"
      "a node; %.3g KiB of key/value data per token, blocks of 16; prompt of %d tokens; a token step takes %.4g ms +\n"
      "%.4g us per growing particle; spare places %s. A batch ends when its slowest rank does. The allreduce is\n"
      "Rabenseifner's; weights, offspring and plan cost what they cost here, once per rank at the same time. Blocks "
      "travel\n"
      "while residents decode, once a rank has waited %.3g token steps for them; those who come late catch up in "
      "passes\n"
      "of their own. What leaves or reaches a card at the same time shares it evenly; ranks that decode look for what "
      "came\n"
      "between tokens. No congestion but at the cards, no noise, no failures; a rank's particles are all distinct "
      "contexts.\n"
      "Larger populations draw their weights and lineages from the recorded ones.\n",
      trace.info.model_id.c_str(), trace.info.particles, trace.batches.size(), m.ranks_per_node, m.latency_s * 1e6,
      m.bandwidth * 1e-9, m.node_bandwidth * 1e-9, m.kv_bytes / 1024, m.prompt_tokens, m.step_s * 1e3,
      m.particle_s * 1e6,
      s.spare_percent ? (std::to_string(*s.spare_percent) + " %").c_str() : "the square root of a rank's share",
      m.patience);
}

void print_row(int ranks, std::size_t particles, const ModelledTime& t, double efficiency) {
  const double batches_bytes = static_cast<double>(t.bytes) / std::max(1, t.resamplings) / ranks;
  std::printf(
      "%6d %9zu %10.4f %7.1f %9.3f %9.3f %8.2f %8.2f %10.3f %10.3f %10.3f\n", ranks, particles, t.total_s(),
      100.0 * efficiency, 100.0 * t.exposed_s / t.total_s(), 100.0 * t.reduce_s / t.total_s(),
      100.0 * static_cast<double>(t.moved) / std::max<double>(1, static_cast<double>(particles) * t.resamplings),
      100.0 * static_cast<double>(t.moved_between_nodes) /
          std::max<double>(1, static_cast<double>(particles) * t.resamplings),
      batches_bytes * 1e-6, static_cast<double>(t.most_bytes_of_rank) * 1e-6, 100.0 * t.blocks_s / t.total_s());
}

void print_head(const char* title) {
  std::printf("\n%s\n%6s %9s %10s %7s %9s %9s %8s %8s %10s %10s %10s\n", title, "ranks", "particles", "seconds",
              "eff %", "exposed %", "reduce %", "moved %", "far %", "MB/rank", "most MB", "blocks %");
}

/// As smc::Options::spare would be.
double spare_of(const Settings& s, std::size_t particles, int ranks) {
  if (s.spare_percent) return *s.spare_percent / 100.0;
  ModelSummary model{};
  model.device = "cuda";
  model.kv_bytes_per_token = static_cast<std::uint64_t>(s.machine.kv_bytes);
  return cluster::choose_spare(model, static_cast<double>(particles) / ranks);
}

ModelledTime modelled(const Settings& s, const Recording& recording, std::size_t particles, int ranks) {
  Machine machine = s.machine;
  machine.spare = spare_of(s, particles, ranks);
  return replay(recording, machine, particles, ranks, s.ess_threshold, 1);
}

int print_weak_scaling(const Settings& s, const Recording& recording) {
  print_head("Weak scaling (particles grow with the ranks)");
  int pays_until = 0;
  double alone = 0.0;
  for (int ranks = 1; ranks <= s.max_ranks; ranks *= 2) {
    const std::size_t particles = s.particles_per_rank * static_cast<std::size_t>(ranks);
    const ModelledTime t = modelled(s, recording, particles, ranks);
    if (ranks == 1) alone = t.total_s();
    if (t.reduce_s <= t.blocks_s || t.reduce_s < 0.02 * t.total_s()) pays_until = ranks;
    print_row(ranks, particles, t, alone / t.total_s());
  }
  return pays_until;
}

/// @return the largest number of ranks
int print_strong_scaling(const Settings& s, const Recording& recording) {
  print_head("Strong scaling (the recorded genealogy itself)");
  double alone = 0.0;
  int most = 1;
  for (int ranks = 1; ranks <= s.max_ranks && static_cast<std::size_t>(ranks) <= recording.particles; ranks *= 2) {
    const ModelledTime t = modelled(s, recording, recording.particles, ranks);
    if (ranks == 1) alone = t.total_s();
    print_row(ranks, recording.particles, t, alone / t.total_s() / ranks);
    most = ranks;
  }
  return most;
}

void print_choice(const char* name, const Settings& s, const Recording& recording, int ranks) {
  const ModelledTime t = modelled(s, recording, recording.particles, ranks);
  std::printf("%-44s %10.4f %9.3f %8.2f %10.3f\n", name, t.total_s(), 100.0 * t.exposed_s / t.total_s(),
              100.0 * static_cast<double>(t.moved) /
                  std::max<double>(1, static_cast<double>(recording.particles) * t.resamplings),
              static_cast<double>(t.most_bytes_of_rank) * 1e-6);
}

/// What the planner's choices gain, and what another would.
void print_choices(const Settings& s, const Recording& recording, int ranks) {
  Settings no_spare = s, no_relays = s, fewest_blocks = s;
  no_spare.spare_percent = 0.0;
  no_relays.machine.relays = false;
  fewest_blocks.machine.fewest_blocks = true;
  std::printf("\nWhat the planner's choices gain on %d ranks\n%-44s %10s %9s %8s %10s\n", ranks, "", "seconds",
              "exposed %", "moved %", "most MB");
  print_choice("as it is", s, recording, ranks);
  print_choice("without spare places", no_spare, recording, ranks);
  print_choice("without relays", no_relays, recording, ranks);
  print_choice("exports by the fewest missing blocks, at best", fewest_blocks, recording, ranks);
  for (const std::size_t survivors : {std::size_t{1}, std::size_t{8}, std::size_t{64}}) {
    if (survivors >= static_cast<std::size_t>(ranks)) break;
    const Recording few = with_survivors(recording, survivors);
    const std::string name =
        "a resampling that " + std::to_string(survivors) + " survive" + (survivors == 1 ? "s" : "");
    print_choice(name.c_str(), s, few, ranks);
    print_choice("  without relays", no_relays, few, ranks);
  }
}

void run(Settings s) {
  const trace::Trace trace = trace::read_trace(s.trace);
  const Recording recording = recording_of(trace);
  set_step_times(trace, &s);
  print_assumptions(s, trace);
  const int pays_until = print_weak_scaling(s, recording);
  const int ranks = print_strong_scaling(s, recording);
  print_choices(s, recording, ranks);
  std::printf(
      "\nmoved, far: children that changed rank and node, per resampling. MB/rank: sent per resampling, mean; most: "
      "in\n"
      "one resampling by one rank. reduce: allreduce of one value per particle, weights, offspring, plan; blocks: the "
      "same\n"
      "with sums of blocks instead (they move more particles). The vector takes below 2 %% of the time, or less than "
      "the\n"
      "blocks, up to %d ranks with %zu particles each.\n",
      pays_until, s.particles_per_rank);
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  try {
    shoal::bench::run(shoal::bench::parse(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_scale: error: " << e.what() << '\n';
    return 2;
  }
}
