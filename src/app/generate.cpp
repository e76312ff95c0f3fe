#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "agent/generation.hpp"
#include "agent/gpu_network.hpp"
#include "agent/load_together.hpp"
#include "agent/workers.hpp"
#include "app/generate_job.hpp"
#include "app/restart.hpp"
#include "app/result_output.hpp"
#include "app/run_outputs.hpp"
#include "app/subcommands.hpp"
#include "base/build_info.hpp"
#include "base/message.hpp"
#include "base/parallel.hpp"
#include "base/signals.hpp"
#include "base/stopwatch.hpp"
#include "shoal/error.hpp"
#include "trace/checkpoint.hpp"

namespace shoal::app {
namespace {

void print_help() {
  GenerateOptions defaults;
  const OptionSet set = generate_option_set(&defaults);
  std::cout << "Usage: shoal generate --prompt TEXT [options]      (alone, or under mpirun or srun)\n\n"
               "Answers a prompt with N particles of a language model, steered by potentials.\n"
            << set.shown;
}

trace::TraceInfo trace_info(const GenerateJob& job, const LanguageModel& model, const trace::RunIdentity& identity,
                            int ranks, const Arguments& arguments) {
  const BuildInfo build = build_info();
  trace::TraceInfo info{.shoal_version = build.version,
                        .build = build.type + ", " + build.compiler + ", " + build.processor,
                        .command_line = "shoal generate " + shell_line(arguments),
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
                        .lists_particles = !weighed_in_blocks(job.options.smc),
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
std::unique_ptr<RunOutputs> open_outputs(const GenerateJob& job, const LanguageModel& model,
                                         std::span<const TokenId> prompt, const std::optional<trace::Checkpoint>& start,
                                         const cluster::World& world, const Arguments& arguments, Log* log) {
  const trace::RunIdentity model_identity = identity_of(model, prompt);
  if (start) trace::require_same_run(model_identity, start->identity, job.options.resume);
  trace::RunIdentity identity = identity_of(job.options);
  identity.insert(identity.end(), model_identity.begin(), model_identity.end());
  trace::Checkpoint run{.info = trace_info(job, model, identity, world.size(), arguments),
                        .identity = identity,
                        .prompt = {prompt.begin(), prompt.end()},
                        .trace = {},
                        .state = {}};
  return std::make_unique<RunOutputs>(job.options, std::move(run), model.vocabulary(), start ? &*start : nullptr, log);
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
  if (result.reason == smc::FinishReason::extinct) print_message(extinct_line(result));
  if (options.quiet) return;
  const bool cut = result.reason == smc::FinishReason::signal || result.reason == smc::FinishReason::timeout;
  if (cut && !options.checkpoint.empty())
    print_message("ended early; the same command with --resume " + options.checkpoint + " goes on");
  std::ostream& table = options.json ? std::cerr : std::cout;
  table << '\n';
  print_table(result, context, table);
}

void log_start(const Arguments& arguments, const cluster::World& world, int workers, Log* log) {
  if (!log->takes(LogLevel::info)) return;
  const BuildInfo build = build_info();
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  log->info("shoal " + build.version + " (" + build.type + ", " + build.compiler + "), rank " +
            std::to_string(world.rank().value()) + " of " + std::to_string(world.size()) + ", process " +
            std::to_string(getpid()) + " on " + host + " (" + build.processor + "), " + std::to_string(workers) +
            " worker(s)");
  if (world.rank() == Rank{0}) log->info("shoal generate " + shell_line(arguments));
}

void log_model(const LanguageModel& model, std::size_t prompt_tokens, double seconds, Log* log) {
  const ModelSummary& summary = model.summary();
  char time[32];
  std::snprintf(time, sizeof time, "%.3f s", seconds);
  log->info("model " + summary.id + ", " + summary.architecture + ", " + summary.dtype +
            (summary.kv_dtype.empty() ? "" : ", keys and values in " + summary.kv_dtype) + " on " + summary.device +
            ", hash " + summary.hash + ", opened in " + time + "; prompt of " + std::to_string(prompt_tokens) +
            " tokens");
}

void log_end(const smc::RunResult& result, Log* log) {
  if (result.reason == smc::FinishReason::extinct) log->warning(extinct_line(result));
  char text[160];
  std::snprintf(text, sizeof text, "ended: %s, %u batches, %d token steps, %.3f s, ESS %.1f, log Z-hat %.4f; ",
                std::string(to_string(result.reason)).c_str(), result.batches, result.token_steps, result.wall_s,
                result.ess, result.log_z);
  log->info(text + phases_text(result.times));
}

int run_job(cluster::World& world, GenerateJob job, const Arguments& arguments, Log* log) {
  const bool root = world.rank() == Rank{0};
  const GenerateOptions& options = job.options;
  const auto start = world.together([&] { return root ? read_start(options) : std::nullopt; });
  const auto note = [&](const std::string& line, bool show) {
    if (!root || line.empty()) return;
    log->warning(line);
    if (show) print_message(line);
  };
  world.together([&] { force_isa(parse_isa(options.isa)); });
  LoadOptions load = types_of(options);
  const agent::DeviceChoice device = agent::choose_device(device_wish(options), options.model, load, &world);
  note(device.note, true);

  const bool on_gpu = device.device.kind == Device::Kind::cuda;
  const int threads = agent::choose_workers(on_gpu ? 0 : options.workers, world);
  job.options.smc.micro_batches = agent::choose_micro_batches(options.workers, device.device);
  const int workers = on_gpu ? options.smc.micro_batches : threads;
  log_start(arguments, world, workers, log);
  if (workers < options.workers) note(agent::fewer_workers_note(options.workers, workers, world), !options.quiet);
  set_worker_threads(threads);
  const Stopwatch loading;
  load.device = device.device;
  const auto model = agent::load_together(&world, options.model, load);
  const auto prompt = world.together([&] { return encode_prompt(*model, options); });
  const agent::GpuNetwork network = agent::link_gpus(&world, device);
  if (network.is_warning)
    note(network.line, true);
  else if (root && !network.line.empty())
    log->info(network.line);
  choose_migration(&job.options, world, *model, network.links.get());
  log_model(*model, prompt.size(), loading.seconds(), log);

  const auto outputs =
      world.together([&] { return root ? open_outputs(job, *model, prompt, start, world, arguments, log) : nullptr; });
  if (root && start && !options.quiet)
    print_message("goes on after batch " + std::to_string(start->state.batches) + " (" +
                  std::to_string(start->state.steps) + " token steps) of " + options.resume);
  const auto state = broadcast_state(world, start);
  smc::Attachments attachments{.start = state ? &*state : nullptr};
  if (outputs) {
    attachments.observer = outputs->observer();
    attachments.checkpointer = outputs->checkpointer();
  }

  const ScopedSignals signals;
  const smc::RunResult result = world.together([&] {
    return agent::generate(world, network.links.get(), *model, prompt, job.potentials, options.smc, options.timeout_s,
                           attachments);
  });
  world.together([&] {
    if (outputs) outputs->finish(result);
  });
  log_end(result, log);
  if (root) {
    report(result, options, {world.size(), workers, options.smc, options.trace, options.checkpoint, job.potentials});
  }
  return exit_code(result);
}

}  // namespace

int generate_command(cluster::World& world, const Arguments& arguments) {
  GenerateJob job = world.together([&] { return parse_generate_job(arguments); });
  if (job.parsed == Parsed::help_wanted) {
    if (world.rank() == Rank{0}) print_help();
    return 0;
  }
  world.set_hang_limit(job.options.hang_limit_s);
  Log log = world.together([&] { return Log(job.options.log, world.rank().value()); });
  try {
    return run_job(world, std::move(job), arguments, &log);
  } catch (const std::exception& e) {
    log.error(e.what());
    throw;
  }
}

}  // namespace shoal::app
