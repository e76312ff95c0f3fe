// Options of one SMC run, after validation.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace shoal::smc {

enum class Resampling { multinomial, stratified, systematic, residual };
/// What a token is drawn from. model: the (truncated) model; masked: the model restricted to the tokens that every
/// potential allows, weight = allowed mass.
enum class ProposalKind { automatic, model, masked };

/// How a growing particle comes to another rank: with its key/value blocks, or as tokens from which they are computed.
enum class Migrate { key_values, tokens };

/// Up to here a vector of N on every rank costs milliseconds a batch (`bench_resample --check`), and buys a list of all
/// particles.
inline constexpr int default_most_in_vectors = 1 << 17;

struct Options {
  int particles = 50;
  int batch_size = 10;   ///< tokens between two reweightings
  int max_tokens = 128;  ///< a particle that has this many is forced to end
  double temperature = 1.0;
  int top_k = 0;                                    ///< 0 = off
  double top_p = 1.0;                               ///< 1 = off
  double min_p = 0.0;                               ///< 0 = off
  ProposalKind proposal = ProposalKind::automatic;  ///< masked if some potential can tell what it allows, else model
  Resampling resampling = Resampling::systematic;
  double ess_threshold = 0.5;  ///< resample if ESS < threshold * N; 0 = never, above 1 = always
  double spare = 0.1;          ///< a rank may hold this much more than its even share before particles leave it
  Migrate migrate = Migrate::key_values;
  /// How long ranks wait for what travels before they go on decoding, in token steps; less where that has not been long
  /// enough. Who comes late is decoded in passes of its own, which take on a CPU about so long however few their rows.
  double patience = 0.25;
  /// Parts in which a rank's contexts are computed where the processor draws by itself: potentials and bookkeeping of
  /// one run on the CPU beside the next one's pass. The answer does not depend on it.
  int micro_batches = 1;
  double early_stop = 1.0;  ///< stop when the finished particles hold this share of the weight; 1 = all finished
  std::uint64_t seed = 0;
  int most_in_vectors = default_most_in_vectors;  ///< more particles are weighed in blocks, with the same bits
  std::vector<std::string> stop{};  ///< a particle ends where one of these appears; the string itself is dropped
};

/// See selection.hpp.
inline bool weighed_in_blocks(const Options& options) { return options.particles > options.most_in_vectors; }

}  // namespace shoal::smc
