#include <hdf5.h>
#include <mpi.h>

#include <boost/program_options/value_semantic.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "agent/workers.hpp"
#include "app/command_line.hpp"
#include "app/subcommands.hpp"
#include "base/build_info.hpp"
#include "base/cores.hpp"
#include "lm/cuda/gpus.hpp"
#include "lm/cuda/plugin.hpp"
#include "shoal/language_model.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;
using Json = nlohmann::ordered_json;

struct InfoOptions {
  std::string model;
  bool json = false;
};

OptionSet option_set(InfoOptions* o) {
  OptionSet set;
  set.shown.add_options()("model", po::value(&o->model)->value_name("MODEL"), "summarise this model too")(
      "json", po::bool_switch(&o->json), "print one JSON object")("help,h", "show this text");
  return set;
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string line(text, static_cast<std::size_t>(length));
  return line.substr(0, line.find(','));
}

std::string hdf5_library() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  H5get_libversion(&major, &minor, &release);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

Json gpus_json() {
  Json list = Json::array();
  for (const lm::Gpu& gpu : lm::find_gpus().all)
    list.push_back({{"name", gpu.name},
                    {"memory_bytes", gpu.memory_bytes},
                    {"compute_capability", gpu.compute_capability / 10.0},
                    {"uuid", gpu.uuid}});
  return list;
}

/// The plugin's file, or why it is of no use here.
std::string cuda_text() {
  const std::string problem = lm::cuda_problem(0);
  return problem.empty() ? lm::find_cuda_plugin() : "not used (" + problem + ")";
}

Json program_json(const cluster::World& world) {
  const BuildInfo build = build_info();
  return {{"version", build.version},
          {"compiler", build.compiler},
          {"build", build.type},
          {"processor", build.processor},
          {"cores", build.cores},
          {"cores_from", available_cores().describe()},
          {"gpus", gpus_json()},
          {"cuda", cuda_text()},
          {"mpi", mpi_library()},
          {"hdf5", hdf5_library()},
          {"ranks", world.size()},
          {"ranks_on_node", world.ranks_on_node()},
          {"cores_on_node", world.cores_on_node()},
          {"workers", agent::choose_workers(0, world)}};
}

Json model_json(const LanguageModel& model) {
  const ModelSummary& s = model.summary();
  return {{"id", s.id},
          {"architecture", s.architecture},
          {"device", s.device},
          {"dtype", s.dtype},
          {"parameters", s.parameters},
          {"weight_bytes", s.weight_bytes},
          {"kv_bytes_per_token", s.kv_bytes_per_token},
          {"vocabulary_size", s.vocabulary_size},
          {"max_context", s.max_context},
          {"hash", s.hash}};
}

void print_text(const Json& json, const std::string& indent) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      std::cout << indent << key << '\n';
      print_text(value, indent + "  ");
    } else {
      const std::string label = indent + key;
      std::cout << label << std::string(label.size() < 22 ? 22 - label.size() : 1, ' ')
                << (value.is_string() ? value.get<std::string>()
                    : value.empty()   ? "none"
                                      : value.dump())
                << '\n';
    }
  }
}

}  // namespace

int info_command(cluster::World& world, const Arguments& arguments) {
  InfoOptions options;
  const bool root = world.rank() == Rank{0};
  const Parsed parsed = world.together([&] { return parse(arguments, option_set(&options), "info"); });
  if (parsed == Parsed::help_wanted) {
    if (root)
      std::cout << "Usage: shoal info [options]\n\nVersion, build, processor, GPUs, MPI, model summary.\n\n"
                << option_set(&options).shown;
    return 0;
  }
  world.together([&] {
    if (!root) return;
    Json json = program_json(world);
    if (!options.model.empty()) json["model"] = model_json(*load_model(options.model, DType::automatic));
    if (options.json)
      std::cout << json.dump() << '\n';
    else
      print_text(json, "");
  });
  return 0;
}

}  // namespace shoal::app
