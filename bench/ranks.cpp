// What a second rank is worth: one run on rank 0 alone and the same run on all ranks, in turn, in one job.
//
//   mpirun -n 2 --map-by slot:PE=1 --bind-to core bench_ranks [--model qwen-0.5b|DIR] [--dtype bf16,int8,f32]
//          [--particles 100] [--prompt 64] [--tokens 40] [--spread 0.3] [--spare 0] [--threads 1] [--rounds 5]
//
// qwen-0.5b is a random checkpoint of Qwen1.5-0.5B's shape. For each dtype: the least seconds over the rounds, alone
// and together, and their ratio, of the whole run, of what comes after the prefill (which every rank computes), of the
// prefill, and of the matrix products alone. These compute all particles' rows on rank 0, or the ranks' even shares of
// them at the same time: the ratio that the hardware allows. Then where each rank's time went in the best run together.
// --spread is the standard deviation of what a random potential adds to a log-weight per token: 0.3 resamples every one
// or two batches, 0 never. The trace goes nowhere, but its records are made.
#include <mpi.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <limits>
#include <memory>

#include "base/parallel.hpp"
#include "base/stopwatch.hpp"
#include "cluster/mpi_transport.hpp"
#include "cluster/node_file.hpp"
#include "cluster/world.hpp"
#include "lists.hpp"
#include "lm/checkpoint_folder.hpp"
#include "number_model.hpp"
#include "products_of_a_step.hpp"
#include "random_checkpoint.hpp"
#include "scratch_folder.hpp"

namespace shoal::bench {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

struct Settings {
  std::string model = "qwen-0.5b";
  std::string dtypes = "bf16,int8,f32";
  int particles = 100;
  int prompt = 64;
  int tokens = 40;
  double spread = 0.3;
  double spare_percent = 0.0;
  int threads = 1;
  int rounds = 5;
};

/// Adds a random number to the log-weight for every byte of a digit, equal for equal texts.
class RandomScore final : public Potential {
 public:
  /// @param spread standard deviation per token
  explicit RandomScore(double spread) : spread_(spread) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] PotentialState start() const override { return pack({}); }
  void advance(PotentialState& state, std::string_view bytes) const override {
    Score score = unpack(state);
    for (const char byte : bytes) {
      score.hash = (score.hash ^ static_cast<unsigned char>(byte)) * 0x9E3779B97F4A7C15ULL;
      score.hash ^= score.hash >> 32U;
      if (byte != ' ') continue;  // every token ends with one
      const double uniform = static_cast<double>(score.hash >> 11U) * 0x1p-53;
      score.value += spread_ * std::sqrt(12.0) * (uniform - 0.5);
    }
    state = pack(score);
  }
  [[nodiscard]] double log_prefix(const PotentialState& state) const override { return unpack(state).value; }
  [[nodiscard]] double log_complete(const PotentialState& state) const override { return unpack(state).value; }

 private:
  struct Score {
    std::uint64_t hash = 1;
    double value = 0.0;
  };
  static PotentialState pack(const Score& score) { return {reinterpret_cast<const char*>(&score), sizeof score}; }
  static Score unpack(const PotentialState& state) {
    Score score;
    std::memcpy(&score, state.data(), sizeof score);
    return score;
  }

  double spread_;
  std::string name_ = "random";
};

/// What can be learned of the ranks' loads.
class Balance final : public smc::Observer {
 public:
  explicit Balance(int ranks) : ranks_(static_cast<std::size_t>(ranks)) {}
  void on_batch(const smc::BatchRecord& record) override {
    std::vector<double> load(ranks_, 0.0);
    for (const std::int32_t rank : record.rank) load[static_cast<std::size_t>(rank)] += 1.0;
    slowest_ += record.tokens * *std::max_element(load.begin(), load.end());
    even_ += record.tokens * static_cast<double>(record.rank.size()) / static_cast<double>(ranks_);
    resamplings_ += record.resampled ? 1 : 0;
  }
  /// Tokens of the fullest rank, summed over the batches, to those of an even share.
  [[nodiscard]] double imbalance() const { return slowest_ / even_; }
  [[nodiscard]] int resamplings() const { return resamplings_; }

 private:
  std::size_t ranks_;
  double slowest_ = 0.0, even_ = 0.0;
  int resamplings_ = 0;
};

/// Of one rank.
struct Seconds {
  double wall = std::numeric_limits<double>::infinity();
  double products = 0.0, forward = 0.0, potentials = 0.0, reduce = 0.0, migrate = 0.0, trace = 0.0;
};

struct Outcome {
  Seconds mine;
  smc::MigrationStats migration;
  double imbalance = 1.0;
  int resamplings = 0;
};

class Comparison {
 public:
  Comparison(cluster::World* world, const Settings& settings, const fs::path& folder, const std::string& dtype)
      : world_(world),
        settings_(settings),
        dtype_(dtype),
        model_(load(folder)),
        products_(model_.config(), dtype, settings.particles, lm::WeightMemory(products_file_.share())),
        prompt_(random_prompt(model_, settings.prompt)),
        share_((settings.particles + world->size() - 1) / world->size()) {
    MPI_Barrier(MPI_COMM_WORLD);
  }

  void run() {
    for (int round = 0; round <= settings_.rounds; ++round) {
      const bool counts = round > 0;  // the first one compiles
      alone([&] { keep_best(decode_alone(), counts, &alone_); });
      MPI_Barrier(MPI_COMM_WORLD);
      keep_best(decode_together(), counts, &together_);
      alone([&] { least(prefill(), counts, &prefill_alone_); });
      MPI_Barrier(MPI_COMM_WORLD);
      least(prefill(), counts, &prefill_together_);
      alone([&] { least(products_.measure(settings_.particles, 2).best, counts, &products_alone_); });
      MPI_Barrier(MPI_COMM_WORLD);
      least(products_.measure(share_, 2).best, counts, &products_together_);
    }
    report();
  }

 private:
  NumberModel load(const fs::path& folder) {
    return NumberModel(lm::load_cpu_transformer(lm::load_config(folder),
                                                std::make_shared<const lm::Safetensors>(folder),
                                                {.dtype = dtype_of(dtype_), .node = model_file_.share()}));
  }

  /// On rank 0, while the others sleep.
  template <class Action>
  void alone(const Action& action) {
    if (world_->rank() == Rank{0}) action();
    (void)world_->broadcast({});
  }
  static void least(double seconds, bool counts, double* best) {
    if (counts) *best = std::min(*best, seconds);
  }
  /// By rank 0's wall time.
  void keep_best(const Outcome& outcome, bool counts, Outcome* best) const {
    if (counts && outcome.mine.wall < best->mine.wall) *best = outcome;
  }

  Outcome decode_alone() {
    smc::SingleProcess transport;
    return decode(&transport);
  }
  Outcome decode_together() {
    cluster::MpiTransport transport(*world_, std::nullopt);
    return decode(&transport);
  }
  Outcome decode(smc::Transport* transport) {
    smc::Options options;
    options.particles = settings_.particles;
    options.max_tokens = settings_.tokens + 1;  // no forced end
    options.spare = settings_.spare_percent / 100.0;
    std::vector<PotentialPtr> potentials;
    if (settings_.spread > 0.0) potentials.push_back(std::make_shared<RandomScore>(settings_.spread));
    Balance balance(transport->size());
    const smc::RunResult run =
        smc::run(model_, prompt_, potentials, options, *transport, transport->rank() == Rank{0} ? &balance : nullptr);
    const lm::ForwardSeconds& forward = model_.seconds();
    return {{run.wall_s, forward.products + forward.head, run.times.decode_s, run.times.potential_s, run.times.reduce_s,
             run.times.migrate_s, run.times.trace_s},
            run.migration,
            balance.imbalance(),
            balance.resamplings()};
  }
  double prefill() {
    const Stopwatch watch;
    (void)model_.open(prompt_, {});
    return watch.seconds();
  }

  static double slowest(double mine) {
    MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return mine;
  }

  void report() {
    // Each rank kept its own best run; the ranks end a run together, so that these are mostly the same one.
    const double products_together = slowest(products_together_);
    const double prefill_together = slowest(prefill_together_);
    std::array<double, 7> mine{together_.mine.wall,       together_.mine.products, together_.mine.forward,
                               together_.mine.potentials, together_.mine.reduce,   together_.mine.migrate,
                               together_.mine.trace};
    std::vector<double> all(mine.size() * static_cast<std::size_t>(world_->size()));
    MPI_Gather(mine.data(), mine.size(), MPI_DOUBLE, all.data(), mine.size(), MPI_DOUBLE, 0, MPI_COMM_WORLD);
    if (world_->rank() != Rank{0}) return;

    std::printf(
        "\n%s, %d particles, %d tokens: %d resamplings moved %llu copies in %llu states; fullest rank to even "
        "share %.3f\n\n",
        dtype_.c_str(), settings_.particles, settings_.tokens, together_.resamplings,
        static_cast<unsigned long long>(together_.migration.moved),
        static_cast<unsigned long long>(together_.migration.sent), together_.imbalance);
    std::printf("| seconds | 1 rank | %d ranks | ratio |\n|---|---|---|---|\n", world_->size());
    const auto row = [](const char* what, double one, double more) {
      std::printf("| %s | %.4f | %.4f | %.3f |\n", what, one, more, one / more);
    };
    row("whole run", alone_.mine.wall, together_.mine.wall);
    row("after the prefill", alone_.mine.wall - prefill_alone_, together_.mine.wall - prefill_together);
    row("prefill", prefill_alone_, prefill_together);
    row("products alone, one token step", products_alone_, products_together);
    std::printf(
        "\n| seconds | wall | products | forward | draws, potentials | reduce | migrate | trace |\n"
        "|---|---|---|---|---|---|---|---|\n");
    const Seconds& a = alone_.mine;
    std::printf("| 1 rank | %.4f | %.4f | %.4f | %.4f | %.4f | %.4f | %.4f |\n", a.wall, a.products, a.forward,
                a.potentials, a.reduce, a.migrate, a.trace);
    for (int r = 0; r < world_->size(); ++r) {
      std::printf("| rank %d |", r);
      for (std::size_t k = 0; k < mine.size(); ++k)
        std::printf(" %.4f |", all[static_cast<std::size_t>(r) * mine.size() + k]);
      std::printf("\n");
    }
    std::fflush(stdout);
  }

  cluster::World* world_;
  const Settings& settings_;
  std::string dtype_;
  cluster::NodeFile model_file_{world_};
  cluster::NodeFile products_file_{world_};
  NumberModel model_;
  ProductsOfAStep products_;
  std::vector<TokenId> prompt_;
  int share_;
  Outcome alone_, together_;
  double prefill_alone_ = 1e300, prefill_together_ = 1e300;
  double products_alone_ = 1e300, products_together_ = 1e300;
};

Settings parse(int argc, char** argv) {
  Settings s;
  po::options_description options("bench_ranks");
  options.add_options()("model", po::value(&s.model))("dtype", po::value(&s.dtypes))(
      "particles", po::value(&s.particles))("prompt", po::value(&s.prompt))("tokens", po::value(&s.tokens))(
      "spread", po::value(&s.spread))("spare", po::value(&s.spare_percent))("threads", po::value(&s.threads))(
      "rounds", po::value(&s.rounds));
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  return s;
}

void run(cluster::World* world, const Settings& settings, const fs::path& folder) {
  set_worker_threads(settings.threads);
  for (const std::string& dtype : split(settings.dtypes)) Comparison(world, settings, folder, dtype).run();
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
    std::cerr << "bench_ranks: " << error.what() << '\n';
    return 2;
  }
}
