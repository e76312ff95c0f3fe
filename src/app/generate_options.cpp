#include "app/generate_options.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/input_text.hpp"
#include "base/isa.hpp"
#include "cluster/migration_choice.hpp"
#include "potential/job_file.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;

template <class T>
po::typed_value<T>* to(T* target, const char* value_name) {
  return po::value<T>(target)->value_name(value_name);
}

po::typed_value<std::vector<std::string>>* list_to(std::vector<std::string>* target, const char* value_name) {
  return po::value<std::vector<std::string>>(target)->composing()->value_name(value_name);
}

template <class Enum>
Enum parse_name(const std::string& option, const std::string& name,
                std::initializer_list<std::pair<const char*, Enum>> known) {
  std::string names;
  for (const auto& [text, value] : known) {
    if (name == text) return value;
    names += (names.empty() ? "" : ", ") + std::string(text);
  }
  throw UsageError("bad --" + option + " '" + name + "' (not known) choose one of " + names);
}

void require(bool ok, const std::string& option, const std::string& value, const std::string& range) {
  if (!ok) throw UsageError("bad --" + option + " " + value + " (out of range) give " + range);
}

std::string text_of(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

/// Refuses early what would fail only after the run.
void check_output_path(const std::string& option, const std::string& file) {
  if (file.empty()) return;
  const std::filesystem::path path(file);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const auto refuse = [&](const std::string& why) {
    throw IoError("cannot write " + option + " '" + file + "' (" + why + ") choose another --" + option);
  };
  if (std::filesystem::is_directory(path)) refuse("it is a directory");
  if (!std::filesystem::is_directory(folder)) refuse("the folder '" + folder.string() + "' does not exist");
  if (access(folder.c_str(), W_OK) != 0) refuse("the folder '" + folder.string() + "' is not writable");
  if (std::filesystem::exists(path) && access(path.c_str(), W_OK) != 0) refuse("the file is not writable");
}

void check_output_paths(const GenerateOptions& o) {
  if (!o.trace.empty() && o.trace == o.checkpoint)
    throw UsageError("--trace and --checkpoint are both '" + o.trace + "' (they are two files) give two names");
  if (o.checkpoint_interval_s && o.checkpoint.empty())
    throw UsageError("--checkpoint-interval without --checkpoint (there is no file to write) give --checkpoint FILE");
  check_output_path("trace", o.trace);
  check_output_path("checkpoint", o.checkpoint);
  check_output_path("log-file", o.log.file);
}

}  // namespace

void add_generation_options(OptionSet* set, GenerateOptions* o, OutputOptions outputs) {
  auto main = po::options_description("Main options");
  main.add_options()(
      "model", to(&o->model, "MODEL"),
      "checkpoint directory, Hugging Face id in the local hub cache, 'minnow' (shipped; default), or tabular:FILE")(
      "prompt", to(&o->prompt, "TEXT"), "the prompt")("prompt-file", to(&o->prompt_file, "FILE"),
                                                      "read the prompt from a file")(
      "system", to(&o->system, "TEXT"), "system message placed before the conversation")(
      "raw-prompt", po::bool_switch(&o->raw_prompt),
      "give the prompt to the model as it is, without its chat template")(
      "particles", to(&o->smc.particles, "N"),
      "particles over all ranks, up to 16777216; of more than 131072 equal ones are listed once (50); also "
      "--monte-carlo-particles")("batch-size", to(&o->smc.batch_size, "B"),
                                 "tokens between two reweightings (10); also --monte-carlo-batch-size")(
      "max-tokens", to(&o->smc.max_tokens, "T"),
      "longest answer; longer particles are forced to end, with the weight that this costs (128)")(
      "timeout", po::value<double>()->notifier([o](double v) { o->timeout_s = v; })->value_name("SECONDS"),
      "stop after this time and return the best found (none); also --monte-carlo-timeout")(
      "seed", to(&o->smc.seed, "SEED"), "seed of every random number (0)")(
      "config", po::value<std::string>()->value_name("FILE"),
      "read options from a job file with lines 'option = value'")("help,h", "show this text");

  auto sampling = po::options_description("Sampling");
  sampling.add_options()("temperature", to(&o->smc.temperature, "X"), "of the model, and so of the target (1)")(
      "top-k", to(&o->smc.top_k, "K"), "draw from the K most probable tokens only (0: off)")(
      "top-p", to(&o->smc.top_p, "P"), "draw from the most probable tokens that hold mass P (1: off)")(
      "min-p", to(&o->smc.min_p, "P"),
      "draw only from tokens at least P times as probable as the most probable one (0: off)")(
      "stop", list_to(&o->smc.stop, "TEXT"), "end a particle before this text (repeatable)")(
      "proposal", to(&o->proposal, "NAME"),
      "auto, model, or masked: the model restricted to the tokens that the potentials allow (auto: masked if a "
      "potential can tell)")("resampling", to(&o->resampling, "NAME"),
                             "multinomial, stratified, systematic or residual (systematic)")(
      "ess-threshold", to(&o->smc.ess_threshold, "X"), "resample if ESS < X * N; 0 never, above 1 always (0.5)")(
      "early-stop", to(&o->smc.early_stop, "X"),
      "stop when finished particles hold this share of the weight (1: all finished)");

  auto steering = po::options_description("Potentials");
  steering.add_options()("regex", list_to(&o->regex, "PATTERN"),
                         "the whole answer must match (RE2-like syntax; repeatable)")(
      "style", list_to(&o->style, "STYLE"),
      "conversational, formal, technical, creative, or a JSON file of weighted patterns (repeatable)")(
      "potentials", to(&o->potentials_file, "FILE"), "further potentials from a JSON job file");

  auto machine = po::options_description("Machine");
  machine.add_options()(
      "workers", to(&o->workers, "W"),
      "CPU threads per rank (the node's cores - 1, shared among its ranks, at least 1); on a GPU, the parts in which "
      "it decodes a rank's particles, so that potentials run beside it (2 per GPU); also --monte-carlo-workers")(
      "device", to(&o->device, "NAME"),
      "auto, cpu or cuda: the node's GPUs, one to each rank in turn; auto: cuda if every rank has one of the same "
      "kind, "
      "else cpu (auto)")(
      "dtype", to(&o->dtype, "TYPE"),
      "auto, f32, bf16, or int8: weights and activations of the products rounded to 8 bits (auto: bf16 where the "
      "processor computes it; f32 on the CPU only)")("kv-dtype", to(&o->kv_dtype, "TYPE"), kv_dtype_help)(
      "isa", to(&o->isa, "NAME"), isa_help)(
      "migrate", to(&o->migrate, "HOW"),
      "how particles come to other ranks, with equal results: kv (with the key/value blocks that are missing there), "
      "tokens (blocks are computed again), or auto: what is faster, as measured at the start (auto)")(
      "spare", po::value<double>()->notifier([o](double v) { o->spare_percent = v; })->value_name("PERCENT"),
      "a rank may hold so many more particles than its even share before any leave it (0 where a token step takes "
      "longer with every particle: on the CPU; elsewhere the places are the square root of the share: 10 % at 100 "
      "particles a rank, 35 % at 8)")(
      "hang-limit", to(&o->hang_limit_s, "SECONDS"),
      "end the job, with exit code 75, if a rank gives no sign of life for so long while others wait for it; must be "
      "longer than a token takes (300; 0: wait for ever)");

  auto output = po::options_description("Output");
  if (outputs == OutputOptions::full)
    output.add_options()("trace", to(&o->trace, "FILE"),
                         "write the run to an HDF5 file, batch by batch; with --resume an existing one is continued")(
        "checkpoint", to(&o->checkpoint, "FILE"),
        "save the state of the run to an HDF5 file, also on SIGUSR1, and when SIGTERM, SIGINT, SIGUSR2 or the timeout "
        "ends it; the one before is kept as FILE.prev")(
        "checkpoint-interval",
        po::value<double>()->notifier([o](double v) { o->checkpoint_interval_s = v; })->value_name("SECONDS"),
        "time between two checkpoints (60; 0: after every token batch)")(
        "resume", to(&o->resume, "FILE"),
        "go on from a checkpoint, on any number of ranks, to the result that the run would have had; the options that "
        "change it must be the same, --timeout counts anew");
  output.add_options()("json", po::bool_switch(&o->json), "print the result as one JSON object on standard output")(
      "quiet,q", po::bool_switch(&o->quiet), "print the answer only");
  add_log_options(&output, &o->log);
  set->shown.add(main).add(sampling).add(steering).add(machine).add(output);

  set->aliases.add_options()("monte-carlo-particles", po::value<int>(&o->smc.particles))(
      "monte-carlo-batch-size", po::value<int>(&o->smc.batch_size))("monte-carlo-workers", po::value<int>(&o->workers))(
      "monte-carlo-timeout", po::value<double>()->notifier([o](double v) { o->timeout_s = v; }))(
      "use-gpu-monte-carlo", po::bool_switch(&o->use_gpu));
}

void validate(GenerateOptions* o) {
  auto& s = o->smc;
  require(s.particles >= 1 && s.particles <= (1 << 24), "particles", std::to_string(s.particles), "1 to 16777216");
  require(s.batch_size >= 1 && s.batch_size <= 4096, "batch-size", std::to_string(s.batch_size), "1 to 4096");
  require(s.max_tokens >= 1 && s.max_tokens <= (1 << 20), "max-tokens", std::to_string(s.max_tokens), "1 to 1048576");
  require(s.temperature > 0 && s.temperature <= 100, "temperature", text_of(s.temperature),
          "a number above 0, up to 100");
  require(s.top_k >= 0, "top-k", std::to_string(s.top_k), "0 (off) or more");
  require(s.top_p > 0 && s.top_p <= 1, "top-p", text_of(s.top_p), "a number above 0, up to 1");
  require(s.min_p >= 0 && s.min_p <= 1, "min-p", text_of(s.min_p), "0 (off) to 1");
  require(s.ess_threshold >= 0, "ess-threshold", text_of(s.ess_threshold), "0 or more");
  require(s.early_stop > 0 && s.early_stop <= 1, "early-stop", text_of(s.early_stop), "a number above 0, up to 1");
  require(o->workers >= 0 && o->workers <= 4096, "workers", std::to_string(o->workers), "0 (choose) to 4096");
  require(!o->timeout_s || *o->timeout_s >= 0, "timeout", o->timeout_s ? text_of(*o->timeout_s) : "",
          "seconds, 0 or more");
  require(!o->checkpoint_interval_s || *o->checkpoint_interval_s >= 0, "checkpoint-interval",
          o->checkpoint_interval_s ? text_of(*o->checkpoint_interval_s) : "", "seconds, 0 or more");
  if (o->spare_percent) {
    require(*o->spare_percent >= 0 && *o->spare_percent <= 1000, "spare", text_of(*o->spare_percent),
            "0 to 1000 (percent)");
    s.spare = *o->spare_percent / 100.0;
  }
  s.migrate = parse_name<smc::Migrate>(
      "migrate", o->migrate,
      {{"auto", smc::Migrate::key_values}, {"kv", smc::Migrate::key_values}, {"tokens", smc::Migrate::tokens}});
  require(o->hang_limit_s >= 0, "hang-limit", text_of(o->hang_limit_s), "seconds, 0 or more");
  if (std::any_of(s.stop.begin(), s.stop.end(), [](const std::string& t) { return t.empty(); }))
    throw UsageError("bad --stop '' (an empty text stops at once) give the text to stop at");
  s.proposal = parse_name<smc::ProposalKind>("proposal", o->proposal,
                                             {{"auto", smc::ProposalKind::automatic},
                                              {"model", smc::ProposalKind::model},
                                              {"masked", smc::ProposalKind::masked}});
  s.resampling = parse_name<smc::Resampling>("resampling", o->resampling,
                                             {{"multinomial", smc::Resampling::multinomial},
                                              {"stratified", smc::Resampling::stratified},
                                              {"systematic", smc::Resampling::systematic},
                                              {"residual", smc::Resampling::residual}});
  (void)device_wish(*o);
  (void)parse_isa(o->isa);
  if (!o->prompt_file.empty()) {
    if (!o->prompt.empty()) throw UsageError("both --prompt and --prompt-file (only one prompt is answered) give one");
    o->prompt = read_text_file(o->prompt_file, "prompt-file");
  }
  check_output_paths(*o);
}

std::vector<PotentialPtr> make_potentials(const GenerateOptions& options) {
  std::vector<PotentialPtr> potentials;
  const auto numbered = [](const char* name, std::size_t i) {
    return i == 0 ? name : name + ("_" + std::to_string(i + 1));
  };
  for (std::size_t i = 0; i < options.regex.size(); ++i)
    potentials.push_back(regex_potential(options.regex[i], numbered("regex", i)));
  for (std::size_t i = 0; i < options.style.size(); ++i)
    potentials.push_back(style_potential(load_style(options.style[i]), numbered("style", i)));
  if (!options.potentials_file.empty()) {
    const auto more = potentials_from_json(read_text_file(options.potentials_file, "potentials"));
    potentials.insert(potentials.end(), more.begin(), more.end());
  }
  return potentials;
}

Isa parse_isa(const std::string& name) { return name == "auto" ? processor_isa() : isa_named(name); }

void choose_migration(GenerateOptions* o, cluster::World& world, const LanguageModel& model, lm::GpuLinks* gpus) {
  if (!o->spare_percent) {
    o->smc.spare = cluster::choose_spare(model.summary(), static_cast<double>(o->smc.particles) / world.size());
    o->spare_percent = 100.0 * o->smc.spare;
  }
  if (o->migrate != "auto") return;
  o->smc.migrate = cluster::choose_migration(world, model, gpus);
  o->migrate = o->smc.migrate == smc::Migrate::tokens ? "tokens" : "kv";
}

DType parse_dtype(const std::string& name) {
  return parse_name<DType>(
      "dtype", name, {{"auto", DType::automatic}, {"f32", DType::f32}, {"bf16", DType::bf16}, {"int8", DType::int8}});
}

KvDType parse_kv_dtype(const std::string& name) {
  return parse_name<KvDType>("kv-dtype", name, {{"auto", KvDType::automatic}, {"int8", KvDType::int8}});
}

agent::DeviceWish device_wish(const GenerateOptions& options) {
  return agent::device_wish(options.device, options.use_gpu, options.model, parse_dtype(options.dtype),
                            parse_kv_dtype(options.kv_dtype));
}

LoadOptions types_of(const GenerateOptions& options) {
  return {.dtype = parse_dtype(options.dtype), .kv_dtype = parse_kv_dtype(options.kv_dtype)};
}

std::string to_json(const GenerateOptions& o) {
  nlohmann::ordered_json json = {
      {"model", o.model},
      {"prompt", o.prompt},
      {"system", o.system},
      {"raw_prompt", o.raw_prompt},
      {"particles", o.smc.particles},
      {"batch_size", o.smc.batch_size},
      {"max_tokens", o.smc.max_tokens},
      {"timeout", o.timeout_s ? nlohmann::ordered_json(*o.timeout_s) : nlohmann::ordered_json()},
      {"seed", o.smc.seed},
      {"temperature", o.smc.temperature},
      {"top_k", o.smc.top_k},
      {"top_p", o.smc.top_p},
      {"min_p", o.smc.min_p},
      {"stop", o.smc.stop},
      {"proposal", o.proposal},
      {"resampling", o.resampling},
      {"ess_threshold", o.smc.ess_threshold},
      {"early_stop", o.smc.early_stop},
      {"regex", o.regex},
      {"style", o.style},
      {"potentials", o.potentials_file},
      {"workers", o.workers},
      {"device", o.device},
      {"use_gpu_monte_carlo", o.use_gpu},
      {"dtype", o.dtype},
      {"kv_dtype", o.kv_dtype},
      {"isa", o.isa},
      {"migrate", o.migrate},
      {"spare", o.spare_percent ? nlohmann::ordered_json(*o.spare_percent) : nlohmann::ordered_json()},
      {"hang_limit", o.hang_limit_s},
      {"checkpoint", o.checkpoint},
      {"checkpoint_interval", o.checkpoint_interval_s.value_or(default_checkpoint_interval_s)},
      {"resume", o.resume}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace shoal::app
