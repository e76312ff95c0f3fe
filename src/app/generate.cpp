#include <ctime>
#include <iostream>
#include <memory>
#include <optional>

#include "agent/generation.hpp"
#include "agent/load_together.hpp"
#include "agent/workers.hpp"
#include "app/generate_options.hpp"
#include "app/restart.hpp"
#include "app/result_output.hpp"
#include "app/run_outputs.hpp"
#include "app/subcommands.hpp"
#include "base/build_info.hpp"
#include "base/parallel.hpp"
#include "base/signals.hpp"
#include "shoal/error.hpp"
#include "trace/checkpoint.hpp"

namespace shoal::app {
namespace {

struct Job {
  GenerateOptions options;
  std::vector<PotentialPtr> potentials;
  Parsed parsed = Parsed::options;
};

OptionSet option_set(GenerateOptions* options) {
  OptionSet set;
  add_generation_options(&set, options, OutputOptions::full);
  return set;
}

Job parse_job(const Arguments& arguments) {
  Job job;
  job.parsed = parse(arguments, option_set(&job.options), "generate");
  if (job.parsed == Parsed::help_wanted) return job;
  if (job.options.prompt.empty() && job.options.prompt_file.empty() && !job.options.model.starts_with("tabular:"))
    throw UsageError("no prompt (neither --prompt nor --prompt-file is given) give --prompt TEXT");
  validate(&job.options);
  job.potentials = make_potentials(job.options);
  return job;
}

std::vector<TokenId> encode_prompt(const LanguageModel& model, const GenerateOptions& options) {
  if (options.raw_prompt || !model.has_chat_template()) {
    if (!options.system.empty())
      throw UsageError(
          "--system cannot be used (the prompt is given to the model as it is) put the text into --prompt");
    return model.encode(options.prompt, SpecialTokens::yes);
  }
  std::vector<ChatMessage> messages;
  if (!options.system.empty()) messages.push_back({"system", options.system});
  messages.push_back({"user", options.prompt});
  return model.encode(model.render_chat(messages), SpecialTokens::no);
}

void print_help() {
  GenerateOptions defaults;
  const OptionSet set = option_set(&defaults);
  std::cout << "Usage: shoal generate --prompt TEXT [options]      (alone, or under mpirun or srun)\n\n"
               "Answers a prompt with N particles of a language model, steered by potentials.\n"
            << set.shown;
}

/// As a shell would read it back.
std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_=+./:,@%") == std::string::npos;
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_line(const Arguments& arguments) {
  std::string line = "shoal generate";
  for (const std::string& argument : arguments) line += " " + quoted(argument);
  return line;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

trace::TraceInfo trace_info(const Job& job, const LanguageModel& model, const trace::RunIdentity& identity, int ranks,
                            const Arguments& arguments) {
  const BuildInfo build = build_info();
  trace::TraceInfo info{.shoal_version = build.version,
                        .build = build.type + ", " + build.compiler + ", " + build.processor,
                        .command_line = command_line(arguments),
                        .options_json = to_json(job.options),
                        .model_id = model.summary().id,
                        .weights_hash = model.summary().hash,
                        .device = model.summary().device,
                        .isa = model.summary().isa,
                        .start_time = utc_now(),
                        .prompt = job.options.prompt,
                        .fingerprint = trace::fingerprint(identity),
                        .seed = job.options.smc.seed,
                        .ranks = ranks,
                        .particles = job.options.smc.particles,
                        .batch_size = job.options.smc.batch_size,
                        .potentials = {}};
  for (const PotentialPtr& potential : job.potentials) info.potentials.push_back(potential->name());
  return info;
}

/// The checkpoint to go on from, if there is one; refused unless the options are those of the run that wrote it.
std::optional<trace::Checkpoint> read_start(const GenerateOptions& options) {
  if (options.resume.empty()) return std::nullopt;
  trace::Checkpoint checkpoint = trace::read_checkpoint(options.resume);
  trace::require_same_run(identity_of(options), checkpoint.identity, options.resume);
  return checkpoint;
}

/// Opens what rank 0 writes to; refuses a checkpoint of another model or prompt.
std::unique_ptr<RunOutputs> open_outputs(const Job& job, const LanguageModel& model, std::span<const TokenId> prompt,
                                         const std::optional<trace::Checkpoint>& start, const cluster::World& world,
                                         const Arguments& arguments) {
  const trace::RunIdentity model_identity = identity_of(model, prompt);
  if (start) trace::require_same_run(model_identity, start->identity, job.options.resume);
  trace::RunIdentity identity = identity_of(job.options);
  identity.insert(identity.end(), model_identity.begin(), model_identity.end());
  trace::Checkpoint run{.info = trace_info(job, model, identity, world.size(), arguments),
                        .identity = identity,
                        .prompt = {prompt.begin(), prompt.end()},
                        .trace = {},
                        .state = {}};
  return std::make_unique<RunOutputs>(job.options, std::move(run), model.vocabulary(), start ? &*start : nullptr);
}

/// Rank 0's, on every rank.
std::optional<smc::RunState> broadcast_state(cluster::World& world, const std::optional<trace::Checkpoint>& start) {
  const std::string bytes = world.broadcast(start ? to_bytes(start->state) : "");
  if (bytes.empty()) return std::nullopt;
  return smc::run_state_from(bytes);
}

int exit_code(const smc::RunResult& result) {
  switch (result.reason) {
    case smc::FinishReason::extinct:
      return static_cast<int>(ExitCode::extinct);
    case smc::FinishReason::signal:
      return 128 + result.signal;
    default:
      return static_cast<int>(ExitCode::done);
  }
}

void report(const smc::RunResult& result, const GenerateOptions& options, const RunContext& context) {
  if (options.json) {
    print_json(result, context, std::cout);
  } else if (result.reason != smc::FinishReason::extinct) {
    std::cout << result.response << '\n';
  }
  if (result.reason == smc::FinishReason::extinct) std::cerr << "shoal: " << extinct_line(result) << '\n';
  if (options.quiet) return;
  const bool cut = result.reason == smc::FinishReason::signal || result.reason == smc::FinishReason::timeout;
  if (cut && !options.checkpoint.empty())
    std::cerr << "shoal: ended early; the same command with --resume " << options.checkpoint << " goes on\n";
  std::ostream& table = options.json ? std::cerr : std::cout;
  table << '\n';
  print_table(result, context, table);
}

}  // namespace

int generate_command(cluster::World& world, const Arguments& arguments) {
  const bool root = world.rank() == Rank{0};
  const Job job = world.together([&] { return parse_job(arguments); });
  if (job.parsed == Parsed::help_wanted) {
    if (root) print_help();
    return 0;
  }
  const GenerateOptions& options = job.options;
  world.set_hang_limit(options.hang_limit_s);
  const auto start = world.together([&] { return root ? read_start(options) : std::nullopt; });
  const agent::DeviceChoice device = agent::choose_device(device_wish(options), &world);
  if (root && !device.note.empty()) std::cerr << "shoal: " << device.note << '\n';

  const int workers = agent::choose_workers(options.workers, world);
  if (root && !options.quiet && workers < options.workers)
    std::cerr << "shoal: " << agent::fewer_workers_note(options.workers, workers, world) << '\n';
  set_worker_threads(workers);
  const auto model =
      agent::load_together(&world, options.model, {.dtype = parse_dtype(options.dtype), .device = device.device});
  const auto prompt = world.together([&] { return encode_prompt(*model, options); });

  const auto outputs =
      world.together([&] { return root ? open_outputs(job, *model, prompt, start, world, arguments) : nullptr; });
  if (root && start && !options.quiet)
    std::cerr << "shoal: goes on after batch " << start->state.batches << " (" << start->state.steps
              << " token steps) of " << options.resume << '\n';
  const auto state = broadcast_state(world, start);
  smc::Attachments attachments{.start = state ? &*state : nullptr};
  if (outputs) {
    attachments.observer = outputs->observer();
    attachments.checkpointer = outputs->checkpointer();
  }

  const ScopedSignals signals;
  const smc::RunResult result = world.together([&] {
    return agent::generate(world, *model, prompt, job.potentials, options.smc, options.timeout_s, attachments);
  });
  world.together([&] {
    if (outputs) outputs->finish(result);
  });
  if (root) {
    report(result, options, {world.size(), workers, options.smc.seed, options.trace, options.checkpoint});
  }
  return exit_code(result);
}

}  // namespace shoal::app
