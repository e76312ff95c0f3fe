#include <hdf5.h>
#include <mpi.h>

#include <boost/program_options/value_semantic.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/workers.hpp"
#include "app/generate_options.hpp"
#include "app/model_info.hpp"
#include "app/subcommands.hpp"
#include "base/build_info.hpp"
#include "base/cores.hpp"
#include "base/isa.hpp"
#include "lm/cuda/gpus.hpp"
#include "lm/cuda/plugin.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;
using Json = nlohmann::ordered_json;

struct InfoOptions {
  std::string model;
  std::string isa = "auto";
  bool json = false;
};

OptionSet option_set(InfoOptions* o) {
  OptionSet set;
  set.shown.add_options()("model", po::value(&o->model)->value_name("MODEL"), "summarise this model too")(
      "isa", po::value(&o->isa)->value_name("NAME"), isa_help)("json", po::bool_switch(&o->json),
                                                               "print one JSON object")("help,h", "show this text");
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
          {"isa", name_of(used_isa())},
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

void print_text(const Json& json) {
  for (const auto& [key, value] : json.items())
    std::cout << key << std::string(key.size() < 22 ? 22 - key.size() : 1, ' ')
              << (value.is_string() ? value.get<std::string>()
                  : value.empty()   ? "none"
                                    : value.dump())
              << '\n';
}

}  // namespace

int info_command(cluster::World& world, const Arguments& arguments) {
  InfoOptions options;
  const bool root = world.rank() == Rank{0};
  const Parsed parsed = world.together([&] {
    const Parsed result = parse(arguments, option_set(&options), "info");
    force_isa(parse_isa(options.isa));
    return result;
  });
  if (parsed == Parsed::help_wanted) {
    if (root)
      std::cout << "Usage: shoal info [options]\n\nVersion, build, processor, GPUs, MPI, model summary.\n\n"
                << option_set(&options).shown;
    return 0;
  }
  world.together([&] {
    if (!root) return;
    Json json = program_json(world);
    const auto model = options.model.empty() ? std::nullopt : std::optional(describe_model(options.model));
    if (options.json) {
      if (model) json["model"] = to_json(*model);
      std::cout << json.dump() << '\n';
      return;
    }
    print_text(json);
    if (model) print(*model, std::cout << '\n');
  });
  return 0;
}

}  // namespace shoal::app
