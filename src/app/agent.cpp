#include <unistd.h>

#include <boost/program_options/value_semantic.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/chat.hpp"
#include "agent/gpu_network.hpp"
#include "agent/load_together.hpp"
#include "agent/workers.hpp"
#include "app/generate_options.hpp"
#include "app/progress.hpp"
#include "app/subcommands.hpp"
#include "base/message.hpp"
#include "base/parallel.hpp"
#include "base/signals.hpp"
#include "shoal/error.hpp"
#include "shoal/model.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;
using Json = nlohmann::ordered_json;

struct AgentOptions {
  GenerateOptions generate;
  std::string agent = "conversational";
  std::string model_type = "huggingface";
  std::string model_size;
  bool use_cache = false;
  bool use_monte_carlo = false;
  bool use_parallel = false;
};

OptionSet option_set(AgentOptions* o) {
  OptionSet set;
  auto agent = po::options_description("Agent");
  agent.add_options()("agent", po::value(&o->agent)->value_name("TYPE"),
                      "conversational, formal, technical or creative: answers end like a sentence and lean to that "
                      "style (conversational)")("model-type", po::value(&o->model_type)->value_name("TYPE"),
                                                "huggingface, or minnow: the shipped model (huggingface)")(
      "model-size", po::value(&o->model_size)->value_name("SIZE"),
      "small_context (Qwen/Qwen1.5-0.5B-Chat), tiny_context, medium_context, long_context, small, medium, large, xl, "
      "code, default; wins over --model")("use-cache", po::bool_switch(&o->use_cache),
                                          "answer a conversation seen before from memory")(
      "use-monte-carlo", po::bool_switch(&o->use_monte_carlo), "steer N particles (without it: one plain sample)")(
      "use-parallel-monte-carlo", po::bool_switch(&o->use_parallel), "use --workers threads (without it: one)");
  set.shown.add(agent);
  add_generation_options(&set, &o->generate, OutputOptions::answers_only);
  return set;
}

std::string model_source(const AgentOptions& o) {
  if (o.model_type == "minnow") return "minnow";
  if (o.model_type != "huggingface")
    throw UsageError("bad --model-type '" + o.model_type + "' (not supported) choose one of huggingface, minnow");
  if (o.model_size.empty()) return o.generate.model;
  const std::string id = model_id_of_size(o.model_size);
  if (id.empty())
    throw UsageError("bad --model-size '" + o.model_size +
                     "' (not known) choose one of default, small, medium, large, xl, code, tiny_context, "
                     "small_context, medium_context, long_context");
  return id;
}

struct AgentJob {
  AgentOptions options;
  std::vector<PotentialPtr> potentials;
  std::string source;
  std::vector<std::string> prompts;  ///< empty: interactive
  Parsed parsed = Parsed::options;
};

std::vector<std::string> prompts_of(const GenerateOptions& options) {
  if (options.prompt_file.empty())
    return options.prompt.empty() ? std::vector<std::string>{} : std::vector{options.prompt};
  std::vector<std::string> prompts;
  std::istringstream lines(options.prompt);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) prompts.push_back(line);
  }
  if (prompts.empty())
    throw UsageError("no prompt in '" + options.prompt_file + "' (the file is empty) give one prompt a line");
  return prompts;
}

AgentJob parse_job(const Arguments& arguments) {
  AgentJob job;
  AgentOptions& options = job.options;
  job.parsed = parse(arguments, option_set(&options), "agent");
  if (job.parsed == Parsed::help_wanted) return job;
  job.source = model_source(options);
  validate(&options.generate);
  job.prompts = prompts_of(options.generate);
  if (options.use_monte_carlo) {
    job.potentials = default_potentials(options.agent);
    const auto more = make_potentials(options.generate);
    job.potentials.insert(job.potentials.end(), more.begin(), more.end());
  } else {
    (void)default_potentials(options.agent);
    options.generate.smc.particles = 1;
  }
  return job;
}

agent::ChatSettings chat_settings(const AgentJob& job, std::shared_ptr<const LanguageModel> model,
                                  std::shared_ptr<cluster::World> world, std::shared_ptr<lm::GpuLinks> gpus) {
  const GenerateOptions& g = job.options.generate;
  return {.model = std::move(model),
          .world = std::move(world),
          .gpus = std::move(gpus),
          .potentials = job.potentials,
          .smc = g.smc,
          .timeout_s = g.timeout_s,
          .system = g.system,
          .use_cache = job.options.use_cache};
}

void print_answer(const Answer& answer, const GenerateOptions& options) {
  if (answer.finish_reason == "extinct")
    print_message("extinct: every particle has weight zero (the last were killed by " + answer.extinct_by +
                  ") use more particles or a weaker constraint");
  if (options.json) {
    std::cout << Json{{"response", answer.response}, {"finish_reason", answer.finish_reason},
                      {"log_z", answer.log_z},       {"ess", answer.ess},
                      {"seconds", answer.seconds},   {"cached", answer.cached}}
                     .dump(-1, ' ', false, Json::error_handler_t::replace)
              << std::endl;
  } else {
    std::cout << answer.response << std::endl;
  }
}

int code_of(const Answer& answer) {
  if (answer.finish_reason == "extinct") return static_cast<int>(ExitCode::extinct);
  return answer.finish_reason == "signal" ? 128 + answer.signal : 0;
}

class AgentSession {
 public:
  AgentSession(agent::Chat* chat, cluster::World* world, const GenerateOptions& options, const Vocabulary& vocabulary,
               Log* log)
      : chat_(chat),
        world_(world),
        options_(options),
        vocabulary_(vocabulary),
        log_(log),
        root_(world->rank() == Rank{0}) {}

  int answer(const std::string& message) {
    ObserverList observers;
    std::unique_ptr<Progress> progress;
    BatchLog batches(log_);
    if (root_ && !options_.quiet) {
      progress = std::make_unique<Progress>(
          ProgressSettings{options_.smc.particles, options_.smc.max_tokens, options_.timeout_s}, vocabulary_, stderr);
      observers.add(progress.get());
    }
    if (root_ && log_->takes(LogLevel::debug)) observers.add(&batches);
    const Answer answer =
        world_->together([&] { return chat_->process(message, observers.empty() ? nullptr : &observers); });
    progress.reset();
    const std::string line = summary(answer);
    log_->info(line);
    if (root_) print_answer(answer, options_);
    if (root_ && !options_.quiet) std::cerr << "  " << line << '\n';
    return code_of(answer);
  }

  /// Reads messages on rank 0 until end of input, /exit, or a signal.
  int interact() {
    const bool terminal = root_ && isatty(STDIN_FILENO) == 1;
    if (terminal) std::cerr << "shoal agent: type a message; /clear forgets the conversation, /exit ends\n";
    int worst = 0;
    for (;;) {
      const std::string line = world_->broadcast(root_ ? read_line(terminal) : "");
      if (line == "/exit") return worst;
      if (line == "/clear") {
        chat_->clear_history();
      } else if (!line.empty()) {
        const int code = answer(line);
        if (code > 128) return code;
        worst = std::max(worst, code);
      }
    }
  }

 private:
  [[nodiscard]] std::string summary(const Answer& answer) const {
    if (answer.cached) return "answered from memory";
    char text[160];
    std::snprintf(text, sizeof text, "%s in %.2f s, ESS %.1f of %d, log Z-hat %.4f", answer.finish_reason.c_str(),
                  answer.seconds, answer.ess, options_.smc.particles, answer.log_z);
    return text;
  }

  static std::string read_line(bool terminal) {
    if (terminal) std::cerr << "> " << std::flush;
    std::string line;
    return std::getline(std::cin, line) ? line : "/exit";
  }

  agent::Chat* chat_;
  cluster::World* world_;
  const GenerateOptions& options_;
  const Vocabulary& vocabulary_;
  Log* log_;
  bool root_;
};

int converse(cluster::World& world, AgentJob job, Log* log) {
  const bool root = world.rank() == Rank{0};
  const GenerateOptions& options = job.options.generate;
  world.together([&] { force_isa(parse_isa(options.isa)); });
  LoadOptions load = types_of(options);
  const agent::DeviceChoice device = agent::choose_device(device_wish(options), job.source, load, &world);
  const auto warn = [&](const std::string& line) {
    if (!root || line.empty()) return;
    log->warning(line);
    print_message(line);
  };
  warn(device.note);

  const bool on_gpu = device.device.kind == Device::Kind::cuda;
  set_worker_threads(job.options.use_parallel ? agent::choose_workers(on_gpu ? 0 : options.workers, world) : 1);
  job.options.generate.smc.micro_batches =
      agent::choose_micro_batches(job.options.use_parallel ? options.workers : 1, device.device);
  load.device = device.device;
  const std::shared_ptr<const LanguageModel> model = agent::load_together(&world, job.source, load);
  log->info("shoal agent, rank " + std::to_string(world.rank().value()) + " of " + std::to_string(world.size()) +
            ", model " + model->summary().id + ", " + std::to_string(worker_threads()) + " worker(s)");
  const agent::GpuNetwork network = agent::link_gpus(&world, device);
  if (network.is_warning)
    warn(network.line);
  else if (root && !network.line.empty())
    log->info(network.line);
  choose_migration(&job.options.generate, world, *model, network.links.get());
  agent::Chat chat(chat_settings(job, model, cluster::World::shared(), network.links));
  AgentSession session(&chat, &world, options, model->vocabulary(), log);
  if (job.prompts.empty()) return session.interact();

  const ScopedSignals signals;
  int worst = 0;
  for (const std::string& prompt : job.prompts) {
    const int code = session.answer(prompt);
    worst = std::max(worst, code);
    if (code > 128) break;
  }
  return worst;
}

}  // namespace

int agent_command(cluster::World& world, const Arguments& arguments) {
  AgentJob job = world.together([&] { return parse_job(arguments); });
  if (job.parsed == Parsed::help_wanted) {
    AgentOptions defaults;
    if (world.rank() == Rank{0})
      std::cout << "Usage: shoal agent [--prompt TEXT | --prompt-file FILE] [options]      (alone, or under mpirun or "
                   "srun)\n\n"
                   "Converses: one prompt, a file with a prompt a line, or interactive when neither is given.\n"
                << option_set(&defaults).shown;
    return 0;
  }
  world.set_hang_limit(job.options.generate.hang_limit_s);
  Log log = world.together([&] { return Log(job.options.generate.log, world.rank().value()); });
  try {
    return converse(world, std::move(job), &log);
  } catch (const std::exception& e) {
    log.error(e.what());
    throw;
  }
}

}  // namespace shoal::app
