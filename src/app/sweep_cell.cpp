#include "app/sweep_cell.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "app/cell_result.hpp"
#include "app/exact_posterior.hpp"
#include "app/restart.hpp"
#include "lm/cuda/gpus.hpp"
#include "lm/cuda/plugin.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

/// The sweep reads the result itself, and a cell leaves nothing else behind.
constexpr const char* not_in_a_sweep[] = {"json",       "quiet",  "help",     "config",    "trace",
                                          "checkpoint", "resume", "log-file", "log-level", "checkpoint-interval"};

bool parse_flag(const std::string& name, const std::string& value) {
  for (const char* yes : {"true", "yes", "on", "1", ""})
    if (value == yes) return true;
  for (const char* no : {"false", "no", "off", "0"})
    if (value == no) return false;
  throw UsageError("bad " + name + " '" + value + "' (neither true nor false) write one of them");
}

int parse_ranks(const std::string& value) {
  int ranks = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), ranks);
  if (error != std::errc() || end != value.data() + value.size() || ranks < 1 || ranks > 1 << 20)
    throw UsageError("bad ranks '" + value + "' (not a number of MPI ranks) give 1 or more");
  return ranks;
}

/// What the sweep itself understands; false if it is for `generate`.
bool take_own_option(const NamedValue& option, Cell* cell) {
  const auto& [name, value] = option;
  if (name == "ranks")
    cell->ranks = parse_ranks(value);
  else if (name == "scorer")
    cell->judges.scorer = value;
  else if (name == "exact-posterior")
    cell->judges.exact_posterior = parse_flag(name, value);
  else
    return false;
  return true;
}

std::vector<std::string> arguments_of(const NamedValue& option) {
  using Words = std::vector<std::string>;
  const auto& [name, value] = option;
  if (std::find(std::begin(not_in_a_sweep), std::end(not_in_a_sweep), name) != std::end(not_in_a_sweep))
    throw UsageError("option '" + name + "' has no place in a sweep (every cell's result is kept) remove it");
  GenerateOptions ignored;
  const OptionSet set = generate_option_set(&ignored);
  const auto* known = set.shown.find_nothrow(name, false);
  if (known == nullptr) known = set.aliases.find_nothrow(name, false);
  const bool flag = known != nullptr && known->semantic()->max_tokens() == 0;
  if (!flag) return value.empty() ? Words{"--" + name, ""} : Words{"--" + name + "=" + value};
  return parse_flag(name, value) ? Words{"--" + name} : Words{};
}

/// Empty if this node can compute on one.
std::string why_no_gpu() {
  const std::string& problem = lm::find_gpus().problem;
  return problem.empty() ? lm::cuda_problem(0) : problem;
}

Cell unchecked_cell(const SweepCell& from) {
  Cell cell{.labels = from.labels, .ranks = 1, .judges = {}, .arguments = {}, .job = {}, .key = {}, .skipped = {}};
  for (const NamedValue& option : from.options) {
    if (take_own_option(option, &cell)) continue;
    const auto words = arguments_of(option);
    cell.arguments.insert(cell.arguments.end(), words.begin(), words.end());
  }
  cell.job = parse_generate_job(cell.arguments);
  if (!cell.job.options.trace.empty() || !cell.job.options.checkpoint.empty() || !cell.job.options.resume.empty())
    throw UsageError("a trace or a checkpoint is set by the environment (all cells would write one file) unset it");
  if (cell.job.options.device == "cuda") cell.skipped = why_no_gpu();
  return cell;
}

/// Everything that a result or a time depends on, but the machine.
trace::RunIdentity identity_of(const Cell& cell, ModelShelf* shelf) {
  const GenerateOptions& options = cell.job.options;
  const auto model = shelf->get(options.model, options.dtype, options.kv_dtype);
  const auto prompt = encode_prompt(*model, options);
  trace::RunIdentity identity = app::identity_of(options);
  const auto more = app::identity_of(*model, prompt);
  identity.insert(identity.end(), more.begin(), more.end());
  const auto number = [](double x) { return nlohmann::json(x).dump(); };
  identity.insert(identity.end(), {{"ranks", std::to_string(cell.ranks)},
                                   {"--workers", std::to_string(options.workers)},
                                   {"--timeout", options.timeout_s ? number(*options.timeout_s) : "none"},
                                   {"the device asked for", options.device},
                                   {"--use-gpu-monte-carlo", options.use_gpu ? "yes" : "no"},
                                   {"the instruction set asked for", options.isa},
                                   {"--migrate", options.migrate},
                                   {"--spare", options.spare_percent ? number(*options.spare_percent) : "auto"},
                                   {"exact-posterior", cell.judges.exact_posterior ? "yes" : "no"}});
  if (!cell.judges.scorer.empty())
    identity.emplace_back("the content of scorer", shelf->get(cell.judges.scorer, "auto")->summary().hash);
  if (cell.judges.exact_posterior) check_enumerable(*model, options.smc);
  return identity;
}

/// A section's word becomes a column beside the options and figures.
void check_words(const SweepGrid& grid) {
  constexpr std::array columns{"cell",   "ranks",     "scorer", "exact-posterior", "workers_used",
                               "status", "exit_code", "error",  "response",        "command"};
  GenerateOptions ignored;
  const OptionSet set = generate_option_set(&ignored);
  const auto options = nlohmann::json::parse(to_json(ignored));
  for (const std::string& word : grid.words)
    if (std::find(columns.begin(), columns.end(), word) != columns.end() || options.contains(word) ||
        set.shown.find_nothrow(word, false) != nullptr ||
        std::any_of(figures().begin(), figures().end(), [&](const Figure& figure) { return word == figure.name; }))
      throw UsageError("bad section [" + word + " ...] ('" + word + "' is an option or a column of the table) use " +
                       "another word");
}

}  // namespace

std::shared_ptr<const LanguageModel> ModelShelf::get(const std::string& source, const std::string& dtype,
                                                     const std::string& kv_dtype) {
  auto& model = models_[{source, dtype, kv_dtype}];
  if (!model) model = load_model(source, {.dtype = parse_dtype(dtype), .kv_dtype = parse_kv_dtype(kv_dtype)});
  return model;
}

std::vector<Cell> make_cells(const SweepGrid& grid) {
  check_words(grid);
  std::vector<Cell> cells;
  ModelShelf shelf;
  for (const SweepCell& from : grid.cells) {
    try {
      Cell cell = unchecked_cell(from);
      cell.key = trace::fingerprint(identity_of(cell, &shelf));
      cells.push_back(std::move(cell));
    } catch (const Error& e) {
      const std::string where = grid.cells.size() == 1 ? ""
                                                       : "cell " + std::to_string(cells.size() + 1) + " of " +
                                                             std::to_string(grid.cells.size()) + ": ";
      throw Error(e.code(), where + e.what());
    }
  }
  return cells;
}

std::string option_text(const Cell& cell, const std::string& name) {
  if (name == "ranks") return std::to_string(cell.ranks);
  if (name == "scorer") return cell.judges.scorer;
  if (name == "exact-posterior") return cell.judges.exact_posterior ? "true" : "false";
  const auto json = nlohmann::json::parse(to_json(cell.job.options));
  std::string key = name.starts_with("monte-carlo-") ? name.substr(std::string("monte-carlo-").size()) : name;
  if (key == "prompt-file") key = "prompt";
  std::replace(key.begin(), key.end(), '-', '_');
  const auto value = json.find(key);
  if (value == json.end() || value->is_null()) return "";
  if (value->is_array()) {
    std::string texts;
    for (const auto& text : *value) texts += (texts.empty() ? "" : " and ") + text.get<std::string>();
    return texts;
  }
  return value->is_string() ? value->get<std::string>() : value->dump();
}

std::string describe(const Cell& cell, const SweepGrid& grid) {
  std::string text;
  const auto add = [&](const std::string& name, const std::string& value) {
    text += (text.empty() ? "" : " ") + name + "=" + shell_line({value});
  };
  for (const auto& [word, name] : cell.labels) add(word, name);
  for (const std::string& name : grid.varied) add(name, option_text(cell, name));
  return text.empty() ? "the only cell" : text;
}

}  // namespace shoal::app
