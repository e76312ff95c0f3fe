// What `shoal generate` is asked to do, read and checked before any model is loaded.
#pragma once

#include <string>
#include <vector>

#include "app/command_line.hpp"
#include "app/generate_options.hpp"
#include "shoal/language_model.hpp"
#include "shoal/potential.hpp"

namespace shoal::app {

struct GenerateJob {
  GenerateOptions options;
  std::vector<PotentialPtr> potentials;
  Parsed parsed = Parsed::options;
};

/// The options of `shoal generate`, writing into @p target.
OptionSet generate_option_set(GenerateOptions* target);

/// @throws UsageError, IoError for files that cannot be written
GenerateJob parse_generate_job(const std::vector<std::string>& arguments);

/// The prompt as the model expects it: rendered by its chat template if it has one.
/// @throws UsageError
std::vector<TokenId> encode_prompt(const LanguageModel& model, const GenerateOptions& options);

/// @p words as a shell would read them back.
std::string shell_line(const std::vector<std::string>& words);

/// Now, as ISO 8601 in UTC.
std::string utc_now();

}  // namespace shoal::app
