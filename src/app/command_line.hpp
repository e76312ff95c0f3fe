// Command lines and job files, parsed by Boost.Program_options, with errors as one clear line.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <string>
#include <vector>

namespace shoal::app {

/// A subcommand's options. Aliases are accepted everywhere but shown in no help text.
struct OptionSet {
  boost::program_options::options_description shown;
  boost::program_options::options_description aliases;
  std::vector<std::string> positional{};   ///< names that take arguments without a dash, in order
  std::string job_file_option = "config";  ///< names a file with further options; empty: none does
};

enum class Parsed { options, help_wanted };

/// Stores the values into the variables that @p options was built with. A value on the command line wins over the
/// environment (SHOAL_PARTICLES for --particles; empty: unset), which wins over the file named by --config (INI-like:
/// name = value). Repeatable options add up.
/// @throws UsageError, naming the nearest option if one is unknown
Parsed parse(const std::vector<std::string>& arguments, const OptionSet& options, const std::string& command);

}  // namespace shoal::app
