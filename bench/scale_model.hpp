// A model of runs on more ranks than are at hand: recorded weights and genealogies go through the real resampling and
// the real migration planner, and a network of latencies and bandwidths says how long it would take.
#pragma once

#include <cstdint>
#include <vector>

#include "trace/trace_reader.hpp"

namespace shoal::bench {

/// Times in seconds, sizes in bytes.
struct Machine {
  int ranks_per_node = 8;
  double latency_s = 2e-6;       ///< of a message between nodes
  double bandwidth = 12.5e9;     ///< of a node's network card, each way, shared by its ranks
  double node_bandwidth = 50e9;  ///< of a rank to others of its node
  double step_s = 5e-3;          ///< of a token step, whatever the number of particles
  double particle_s = 50e-6;     ///< of a token step, for each growing particle
  double kv_bytes = 131'072;     ///< of one token
  double particle_bytes = 600;   ///< of a particle without key/value blocks
  int prompt_tokens = 64;
  double spare = 0.0;      ///< see smc::rank_capacity
  double patience = 0.25;  ///< token steps that a rank waits for what travels before it decodes
  bool relays = true;      ///< as planned; else all comes from where it was
  /// Each parent that travels lacks no more blocks where it goes than any other that lives with it would: a bound on
  /// what planning by missing blocks could gain.
  bool fewest_blocks = false;
};

/// What a recorded run says that can be replayed.
struct Recording {
  struct Batch {
    std::vector<double> increment;                       ///< of the log-weight, by slot
    std::vector<std::uint8_t> finished;                  ///< by slot
    std::vector<std::uint32_t> ancestor;                 ///< of each slot after the batch
    std::vector<std::vector<std::uint32_t>> successors;  ///< by slot: the slots that continue it
    int tokens = 0;
    bool resampled = false;
  };
  std::size_t particles = 0;
  std::vector<Batch> batches;
};

Recording recording_of(const trace::Trace& trace);
/// As many tokens, of which no particle finishes, with one resampling, in the middle, that so many particles survive.
Recording with_survivors(Recording recording, std::size_t survivors);

/// Of a whole run.
struct ModelledTime {
  double decode_s = 0.0;   ///< of the slowest rank of each batch
  double reduce_s = 0.0;   ///< allreduce of the vector of N, weights, offspring and plan on every rank
  double exposed_s = 0.0;  ///< migration that is not hidden behind decoding
  double migrate_s = 0.0;  ///< all of it
  double blocks_s = 0.0;   ///< what reduce_s would be with sums of blocks (block_resampling.hpp)
  std::uint64_t moved = 0;
  std::uint64_t moved_between_nodes = 0;
  std::uint64_t sent = 0;
  std::uint64_t bytes = 0;  ///< over all ranks
  std::uint64_t most_bytes_of_rank = 0;
  int resamplings = 0;

  [[nodiscard]] double total_s() const { return decode_s + reduce_s + exposed_s; }
};

/// @p particles as recorded: the recorded genealogy itself. Otherwise each particle takes its increments from a slot of
/// the recording, drawn at random, its children from slots that continue that one: weights and lineages behave as
/// recorded, particles of different slots depend on each other no more than they did.
ModelledTime replay(const Recording& recording, const Machine& machine, std::size_t particles, int ranks,
                    double ess_threshold, std::uint64_t seed);

}  // namespace shoal::bench
