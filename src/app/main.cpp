// The `shoal` program: picks the subcommand and turns errors into one line on rank 0 and an exit code on every rank.
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>

#include "app/subcommands.hpp"
#include "base/build_info.hpp"
#include "base/message.hpp"
#include "cluster/launch_check.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

using Command = int (*)(cluster::World&, const Arguments&);

constexpr const char* usage =
    "Usage: shoal SUBCOMMAND [options]      (alone, or under mpirun or srun)\n\n"
    "  generate   answer one prompt with N particles\n"
    "  agent      converse: one prompt, a file of prompts, or interactive\n"
    "  score      log-probability of a text, per token\n"
    "  tokenize   token ids and pieces of a text\n"
    "  sweep      a grid of runs from a job file, one table of results\n"
    "  report     one HTML page from a trace\n"
    "  info       version, build, processor, GPUs, MPI, model summary\n\n"
    "'shoal SUBCOMMAND --help' lists the options.\n";

int number(const char* variable) {
  const char* value = getenv(variable);
  return value == nullptr ? 0 : std::atoi(value);
}

bool started_several_times() { return number("OMPI_COMM_WORLD_SIZE") > 1 || number("SLURM_STEP_NUM_TASKS") > 1; }

int dispatch(cluster::World& world, const Arguments& arguments) {
  static const std::map<std::string, Command> commands{{"generate", generate_command}, {"agent", agent_command},
                                                       {"score", score_command},       {"tokenize", tokenize_command},
                                                       {"report", report_command},     {"info", info_command}};
  const bool root = world.rank() == Rank{0};
  const std::string name = arguments.empty() ? "" : arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    if (root) std::cout << usage;
    return 0;
  }
  if (name == "--version") {
    if (root) std::cout << "shoal " << build_info().version << '\n';
    return 0;
  }
  if (name == "sweep") {
    if (root && number("SLURM_PROCID") == 0)
      print_error("sweep was started several times (it starts the ranks of its runs itself) run it alone");
    return static_cast<int>(ExitCode::usage);
  }
  const auto command = commands.find(name);
  if (command == commands.end()) {
    if (root && name.empty()) std::cerr << usage;
    if (root && !name.empty())
      print_error("unknown subcommand '" + name +
                  "' (not one of generate, agent, score, tokenize, sweep, report, info) see shoal --help");
    return static_cast<int>(ExitCode::usage);
  }
  if (name == "generate" || name == "agent") {
    const auto problem = cluster::launch_problem(world.size(), [](const char* variable) { return getenv(variable); });
    if (problem.speaks) print_error(problem.line);
    if (!problem.line.empty()) return static_cast<int>(ExitCode::usage);
  }
  return command->second(world, Arguments(arguments.begin() + 1, arguments.end()));
}

/// `shoal sweep` outside MPI: it starts MPI jobs of its own.
int sweep_alone(const Arguments& arguments) {
  try {
    return sweep_command(arguments);
  } catch (const Error& e) {
    print_error(e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    print_message("internal error: " + std::string(e.what()));
    return static_cast<int>(ExitCode::internal);
  }
}

}  // namespace
}  // namespace shoal::app

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "sweep" && !shoal::app::started_several_times())
    return shoal::app::sweep_alone({argv + 2, argv + argc});
  const auto world = shoal::cluster::World::shared();
  try {
    return shoal::app::dispatch(*world, shoal::app::Arguments(argv + 1, argv + argc));
  } catch (const shoal::cluster::AgreedError& e) {
    if (world->rank() == shoal::Rank{0}) shoal::print_error(e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    shoal::print_message("internal error on rank " + std::to_string(world->rank().value()) + ": " + e.what());
    world->abort(static_cast<int>(shoal::ExitCode::internal));
  }
}
