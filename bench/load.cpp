// How long a checkpoint takes to load, and how much memory it takes on the node. Under mpirun the ranks share one copy.
//
//   [mpirun -n RANKS] bench_load [--model qwen-0.5b|DIR] [--dtype bf16,int8,f32] [--repeat 3]
//
// qwen-0.5b is a random checkpoint of Qwen1.5-0.5B's shape with a tokenizer of its size. For each type: the least wall
// time, and the processor time of a rank, of the text alone (tokenizer, vocabulary), of the weights alone, and of all
// together; then the memory: resident bytes of a rank, and the sum of the ranks when a page that n of them map counts
// as an n-th for each.
#include <mpi.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "agent/load_together.hpp"
#include "base/parallel.hpp"
#include "base/stopwatch.hpp"
#include "cluster/node_file.hpp"
#include "lists.hpp"
#include "lm/checkpoint_folder.hpp"
#include "lm/model_text.hpp"
#include "lm/transformer.hpp"
#include "random_checkpoint.hpp"
#include "scratch_folder.hpp"

namespace shoal::bench {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

struct Settings {
  std::string model = "qwen-0.5b";
  std::string dtypes = "bf16,int8,f32";
  int repeat = 3;
};

double processor_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

struct Cost {
  double wall = 1e300, processor = 1e300;
};

/// The least of some runs on all ranks at once: from the first one's start to the last one's end, and of this rank's
/// threads together, waiting for the others not included.
template <class Action>
Cost least(int repeat, const Action& action) {
  Cost best;
  for (int i = 0; i < repeat; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double before = processor_seconds();
    const Stopwatch watch;
    const auto loaded = action();
    best.processor = std::min(best.processor, processor_seconds() - before);
    MPI_Barrier(MPI_COMM_WORLD);
    best.wall = std::min(best.wall, watch.seconds());  // without the time to let go of it
  }
  return best;
}

double mebibytes(const std::string& measure) {
  std::ifstream in("/proc/self/smaps_rollup");
  for (std::string word; in >> word;)
    if (double kibibytes = 0; word == measure && in >> kibibytes) return kibibytes / 1024;
  return 0.0;
}

double sum_over_ranks(double mine) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return mine;
}

/// Reads all weights once, as a run does.
void use(const LanguageModel& model) {
  const std::vector<TokenId> prompt{TokenId{1}, TokenId{2}, TokenId{3}};
  const auto tree = model.open(prompt, {1, 1});
  std::vector<float> logits(static_cast<std::size_t>(model.summary().vocabulary_size));
  const ContextId root = tree->root();
  tree->forward(std::span(&root, 1), logits);
}

void report(cluster::World* world, const fs::path& folder, const std::string& name, int repeat) {
  const LoadOptions options{.dtype = dtype_of(name)};
  const auto config = lm::load_config(folder);
  const Cost text = least(repeat, [&] { return lm::load_text(folder, config); });
  const Cost weights = least(repeat, [&] {
    const cluster::NodeFile file(world);
    return lm::load_cpu_transformer(config, std::make_shared<const lm::Safetensors>(folder),
                                    {.dtype = options.dtype, .node = file.share()});
  });
  const Cost all = least(repeat, [&] { return agent::load_together(world, folder.string(), options); });
  const auto model = agent::load_together(world, folder.string(), options);
  use(*model);
  MPI_Barrier(MPI_COMM_WORLD);
  const double resident = mebibytes("Rss:"), physical = sum_over_ranks(mebibytes("Pss:"));
  MPI_Barrier(MPI_COMM_WORLD);
  if (world->rank() != Rank{0}) return;
  std::printf("| %s | %d | %.2f (%.2f) | %.2f (%.2f) | %.2f (%.2f) | %.0f | %.0f | %.0f |\n", name.c_str(),
              world->size(), text.wall, text.processor, weights.wall, weights.processor, all.wall, all.processor,
              static_cast<double>(model->summary().weight_bytes) / (1 << 20), resident, physical);
  std::fflush(stdout);
}

Settings parse(int argc, char** argv) {
  Settings s;
  po::options_description options("bench_load");
  options.add_options()("model", po::value(&s.model))("dtype", po::value(&s.dtypes))("repeat", po::value(&s.repeat));
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  return s;
}

void run(cluster::World* world, const Settings& settings, const fs::path& folder) {
  set_worker_threads(std::max(1, world->cores_on_node() / world->ranks_on_node()));
  if (world->rank() == Rank{0})
    std::printf(
        "| dtype | ranks | text, s | weights, s | all, s | weights, MiB | resident, a rank, MiB | all ranks, MiB |\n"
        "|---|---|---|---|---|---|---|---|\n");
  for (const std::string& name : split(settings.dtypes)) report(world, folder, name, settings.repeat);
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  using namespace shoal;
  try {
    const bench::Settings settings = bench::parse(argc, argv);
    const auto world = cluster::World::shared();
    if (settings.model != "qwen-0.5b") {
      bench::run(world.get(), settings, lm::find_checkpoint(settings.model));
      return 0;
    }
    const bench::ScratchFolder scratch;
    const std::string folder = world->broadcast(scratch.path().string());
    if (world->rank() == Rank{0}) bench::write_random_checkpoint(bench::qwen_half_billion(), folder);
    MPI_Barrier(MPI_COMM_WORLD);
    bench::run(world.get(), settings, folder);
    MPI_Barrier(MPI_COMM_WORLD);
  } catch (const std::exception& error) {
    std::cerr << "bench_load: " << error.what() << '\n';
    return 2;
  }
}
