// What a trace says about its run, known before the first batch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::trace {

struct TraceInfo {
  std::string shoal_version;
  std::string build;
  std::string command_line;
  std::string options_json;
  std::string model_id;
  std::string weights_hash;
  std::string device;
  std::string isa;         ///< instruction set in use; empty if not recorded
  std::string start_time;  ///< ISO 8601, UTC
  std::string prompt;
  std::string fingerprint;  ///< of all that the result depends on; empty if not recorded
  std::uint64_t seed = 0;
  int ranks = 1;
  int particles = 0;
  int batch_size = 0;
  bool lists_particles = true;          ///< has /particle and /potential: not if particles are weighed in blocks
  std::vector<std::string> potentials;  ///< in the order of BatchRecord::potential

  bool operator==(const TraceInfo&) const = default;
};

/// As one JSON object; bytes that are not UTF-8 become U+FFFD.
std::string to_json(const TraceInfo& info);
/// @throws std::exception if @p json is not what to_json writes
TraceInfo info_from_json(std::string_view json);

/// The names of the potentials' datasets: '/' and a leading '.' become '_', empty ones "potential", repeated ones get
/// "_2", "_3", ...
std::vector<std::string> dataset_names(const std::vector<std::string>& potentials);

}  // namespace shoal::trace
