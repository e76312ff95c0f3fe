// Options of `shoal generate` and `shoal agent`: one struct, filled from the command line or a job file, checked before
// any rank loads a model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/device.hpp"
#include "app/command_line.hpp"
#include "app/log.hpp"
#include "base/isa.hpp"
#include "cluster/world.hpp"
#include "lm/cuda/gpu_links.hpp"
#include "shoal/language_model.hpp"
#include "shoal/potential.hpp"
#include "smc/options.hpp"

namespace shoal::app {

struct GenerateOptions {
  std::string model = "minnow";
  std::string prompt;
  std::string prompt_file;
  std::string system;  ///< system message of the conversation
  bool raw_prompt = false;
  smc::Options smc;
  int workers = 0;  ///< CPU threads of this rank, or its micro-batches on a GPU; 0 = choose
  std::optional<double> timeout_s;
  std::string device = "auto";
  bool use_gpu = false;
  std::string dtype = "auto";
  std::string kv_dtype = "auto";
  std::string isa = "auto";
  std::string proposal = "auto";
  std::string resampling = "systematic";
  std::vector<std::string> regex;
  std::vector<std::string> style;
  std::string potentials_file;
  std::string trace;
  std::string checkpoint;
  std::optional<double> checkpoint_interval_s;  ///< nothing: the default
  std::string resume;
  std::string migrate = "auto";         ///< once it is chosen: kv or tokens
  std::optional<double> spare_percent;  ///< nothing: to be chosen
  double hang_limit_s = 300.0;          ///< 0 = none
  LogOptions log;
  bool json = false;
  bool quiet = false;
};

inline constexpr double default_checkpoint_interval_s = 60.0;

/// agent answers several prompts and writes neither trace nor checkpoints.
enum class OutputOptions { full, answers_only };

/// Registers the options shared by generate and agent, writing into @p target.
void add_generation_options(OptionSet* set, GenerateOptions* target, OutputOptions output);

/// Checks ranges and names, and fills the enums of smc.
/// @throws UsageError
void validate(GenerateOptions* options);

/// Potentials in command line order: --regex, --style, --potentials.
/// @throws UsageError
std::vector<PotentialPtr> make_potentials(const GenerateOptions& options);

/// Puts what --migrate auto and --spare come to, if they are not given, in their places. Collective. @param gpus or
/// null
void choose_migration(GenerateOptions* options, cluster::World& world, const LanguageModel& model, lm::GpuLinks* gpus);

DType parse_dtype(const std::string& name);
KvDType parse_kv_dtype(const std::string& name);

/// "auto" is the processor's best.
Isa parse_isa(const std::string& name);

inline constexpr const char* isa_help =
    "highest instruction set to use: baseline, avx2, avx512, avx512_vnni, avx512_bf16 or amx (auto: the "
    "processor's best; of a run, the best that the processors of all its ranks have)";

inline constexpr const char* kv_dtype_help =
    "how keys and values are kept: auto, as the products' operands are, or int8: in 8 bits, half of bf16's memory, on "
    "processors with AVX-512 VNNI (auto)";

/// Of --device and --use-gpu-monte-carlo. @throws UsageError
agent::DeviceWish device_wish(const GenerateOptions& options);
/// --dtype and --kv-dtype. @throws UsageError
LoadOptions types_of(const GenerateOptions& options);

/// The options as a JSON object, for the trace.
std::string to_json(const GenerateOptions& options);

}  // namespace shoal::app
