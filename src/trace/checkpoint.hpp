// Checkpoint: the state of a run in an HDF5 file, from which it goes on, on any number of ranks, to the same bits.
// A file is written beside the last one and takes its place in one step; the last one is kept as NAME.prev.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shoal/ids.hpp"
#include "smc/run_state.hpp"
#include "trace/run_identity.hpp"
#include "trace/trace_info.hpp"

namespace shoal::trace {

/// How far a trace had come: its batches, and the hash of what they say.
struct TraceMark {
  std::uint64_t batches = 0;
  std::uint64_t hash = 0;

  bool operator==(const TraceMark&) const = default;
};

struct Checkpoint {
  TraceInfo info;
  RunIdentity identity;
  std::vector<TokenId> prompt;
  std::optional<TraceMark> trace;  ///< nothing if the run wrote no trace
  smc::RunState state;
};

/// Where the one before @p path is kept.
inline std::string previous_checkpoint(const std::string& path) { return path + ".prev"; }

/// @throws IoError if @p path cannot become a checkpoint: no folder, no permission, another file
void check_checkpoint_target(const std::string& path);

/// @throws IoError, for example on a full disk; what was at @p path is kept
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);

/// @throws IoError if @p path is no checkpoint, of another format version, truncated or damaged; names the previous one
///         if that exists
Checkpoint read_checkpoint(const std::string& path);

}  // namespace shoal::trace
