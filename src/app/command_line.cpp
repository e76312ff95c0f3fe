#include "app/command_line.hpp"

#include <algorithm>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <optional>

#include "shoal/error.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({substitution, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

std::string nearest_option(const po::options_description& options, const std::string& unknown) {
  std::string best;
  std::size_t best_distance = 4;
  for (const auto& option : options.options()) {
    const std::size_t distance = edit_distance(option->long_name(), unknown);
    if (distance < best_distance) {
      best_distance = distance;
      best = option->long_name();
    }
  }
  return best;
}

std::string without_dashes(std::string name) {
  name.erase(0, name.find_first_not_of('-'));
  return name;
}

std::string unknown_option_line(const std::string& word, const po::options_description& all,
                                const std::string& command) {
  const std::string name = word.substr(0, word.find('='));
  const std::string nearest = nearest_option(all, without_dashes(name));
  const std::string hint = nearest.empty() ? "see shoal " + command + " --help" : "did you mean --" + nearest + "?";
  return "unknown option '" + name + "' (shoal " + command + " has no such option) " + hint;
}

/// An alias is the option that it stands for, wherever either is given.
po::parsed_options without_aliases(po::parsed_options parsed, const po::options_description& shown) {
  constexpr std::string_view prefix = "monte-carlo-";
  for (po::option& option : parsed.options) {
    std::string& name = option.string_key;
    if (name.starts_with(prefix) && shown.find_nothrow(name.substr(prefix.size()), false) != nullptr)
      name.erase(0, prefix.size());
  }
  return parsed;
}

void read_config_file(const std::string& path, const po::options_description& all, const po::options_description& shown,
                      po::variables_map* values, const std::string& command) {
  std::ifstream file(path);
  if (!file)
    throw UsageError("cannot read job file '" + path + "' (it does not exist or is not readable) check --config");
  try {
    po::store(without_aliases(po::parse_config_file(file, all), shown), *values);
  } catch (const po::unknown_option& e) {
    throw UsageError("job file '" + path + "': " + unknown_option_line(e.get_option_name(), all, command));
  } catch (const po::error& e) {
    throw UsageError("job file '" + path + "' is not valid (" + e.what() + ") use lines 'option = value'");
  }
}

/// The option that an environment variable stands for; empty if it stands for none.
std::string option_of_variable(const std::string& variable, const po::options_description& shown) {
  constexpr std::string_view prefix = "SHOAL_";
  if (!variable.starts_with(prefix)) return "";
  std::string name = variable.substr(prefix.size());
  for (char& c : name) c = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const bool known = name != "help" && name != "config" && shown.find_nothrow(name, false) != nullptr;
  const char* value = std::getenv(variable.c_str());
  return known && value != nullptr && *value != '\0' ? name : "";
}

void read_environment(const po::options_description& shown, po::variables_map* values) {
  const auto option_of = [&](const std::string& variable) { return option_of_variable(variable, shown); };
  try {
    po::store(po::parse_environment(shown, option_of), *values);
  } catch (const po::error& e) {
    throw UsageError(std::string("bad environment variable SHOAL_... (") + e.what() + ") correct or unset it");
  }
}

}  // namespace

Parsed parse(const std::vector<std::string>& arguments, const OptionSet& options, const std::string& command) {
  po::options_description all;
  all.add(options.shown).add(options.aliases);
  po::positional_options_description positional;
  for (const std::string& name : options.positional) positional.add(name.c_str(), 1);

  po::variables_map values;
  try {
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const auto parsed = po::command_line_parser(arguments).options(all).positional(positional).style(style).run();
    po::store(without_aliases(parsed, options.shown), values);
  } catch (const po::unknown_option& e) {
    throw UsageError(unknown_option_line(e.get_option_name(), all, command));
  } catch (const po::too_many_positional_options_error&) {
    throw UsageError("unexpected argument (shoal " + command + " takes options only) see shoal " + command + " --help");
  } catch (const po::error& e) {
    throw UsageError(std::string("bad command line (") + e.what() + ") see shoal " + command + " --help");
  }
  if (values.count("help") > 0) return Parsed::help_wanted;
  read_environment(options.shown, &values);
  const std::string& job_file = options.job_file_option;
  if (!job_file.empty() && values.count(job_file) > 0)
    read_config_file(values[job_file].as<std::string>(), all, options.shown, &values, command);
  po::notify(values);
  return Parsed::options;
}

}  // namespace shoal::app
