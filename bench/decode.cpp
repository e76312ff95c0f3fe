// Decoding speed of whole SMC runs beside the roofline of their own matrix products, both measured in this process.
//
//   bench_decode [--model qwen-0.5b|minnow|DIR] [--particles 1,8,32,100,256] [--dtype bf16,int8,f32] [--threads 1,2]
//                [--prompt 64] [--tokens 100] [--isa avx2] [--kv-dtype auto,int8]
//
// qwen-0.5b is a random checkpoint of Qwen1.5-0.5B's shape. For each row: particle-tokens per second of the run, those
// of its matrix products alone (same shapes, rows and threads, distinct weights for every layer) in the best of several
// steps, their ratio, and the share of the run's time by operation. The run is a mean over its steps: where something
// else runs, the ratio to the mean of the products alone tells what that takes from both. No potentials, so nearly
// every particle is a distinct context. With KV: the ratio to the products followed by one reading of the keys and
// values that the steps see, at the rate at which these threads read long stretches of memory.
//
//   bench_decode --contexts [--particles 1,10,100,1000] [--dtype bf16] [--threads 1] [--prompt 64] [--tokens 100]
//
// Constrained jobs of minnow: distinct contexts against particles. Then, for the random checkpoint, what a run whose
// particles all share their text costs beside one particle.
#include <algorithm>
#include <atomic>
#include <boost/program_options.hpp>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>

#include "base/parallel.hpp"
#include "base/stopwatch.hpp"
#include "distinct_contexts.hpp"
#include "lists.hpp"
#include "lm/checkpoint_folder.hpp"
#include "lm/cpu/kernels.hpp"
#include "number_model.hpp"
#include "products_of_a_step.hpp"
#include "random_checkpoint.hpp"
#include "scratch_folder.hpp"
#include "shoal/error.hpp"

namespace shoal::bench {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

struct Settings {
  std::string model = "qwen-0.5b";
  std::vector<int> particles{1, 8, 32, 100, 256};
  std::vector<std::string> dtypes{"bf16", "int8", "f32"};
  std::vector<std::string> kv_dtypes{"auto"};
  std::vector<int> threads{1, 2};
  int prompt = 64;
  int tokens = 100;
  bool contexts = false;
};

/// Bytes per second that all workers read from memory, in the best of several readings.
double reading_rate() {
  static const std::vector<std::uint64_t> data(std::size_t{1} << 25U, 1);
  constexpr std::size_t part = std::size_t{1} << 18U;
  std::atomic<std::uint64_t> found = 0;  // or nothing would be read
  double best = 0.0;
  for (int round = 0; round < 8; ++round) {
    const Stopwatch watch;
    parallel_for(data.size() / part, [&](std::size_t i) {
      std::uint64_t sums[32] = {};
      for (std::size_t k = i * part; k < (i + 1) * part; k += 32)
        for (std::size_t j = 0; j < 32; ++j) sums[j] += data[k + j];
      found += std::accumulate(std::begin(sums), std::end(sums), std::uint64_t{0});
    });
    best = std::max(best, static_cast<double>(data.size() * sizeof(data[0])) / watch.seconds());
  }
  return best;
}

/// Of the keys and values that the run's steps see: those of the prompt once a step, the particles' own.
double kv_bytes(const NumberModel& model, const Settings& settings, int particles) {
  const double steps = settings.tokens;
  const double positions = settings.prompt * steps + particles * steps * (steps - 1.0) / 2.0;
  return positions * static_cast<double>(model.transformer().block_bytes()) / lm::cpu::block_positions;
}

void report(const NumberModel& model, const Settings& settings, ProductsOfAStep* products, const std::string& types,
            int threads, int particles) {
  set_worker_threads(threads);
  (void)decode(model, settings.prompt, particles, settings.tokens);  // compiles products, takes memory
  const smc::RunResult run = decode(model, settings.prompt, particles, settings.tokens);
  const auto [step, mean_step] = products->measure(particles, std::clamp(200 / particles, 10, 20));
  const double speed = static_cast<double>(run.particle_tokens) / run.wall_s;
  const double roofline = particles / step;
  const double reading = kv_bytes(model, settings, particles) / reading_rate() / settings.tokens;
  const lm::ForwardSeconds& forward = model.seconds();
  const double elementwise = forward.total - forward.products - forward.head - forward.attention;
  std::printf("| %s | %d | %d | %.0f | %.0f | %.0f | %.1f %% | %.1f %% | %.1f %% |", types.c_str(), threads, particles,
              speed, roofline, products->flops(particles) / step * 1e-9, 100.0 * speed / roofline,
              100.0 * speed * mean_step / particles, 100.0 * speed * (step + reading) / particles);
  for (const double seconds : {forward.products, forward.head, forward.attention, elementwise, run.times.potential_s,
                               run.wall_s - forward.total - run.times.potential_s})
    std::printf(" %.1f %% |", 100.0 * seconds / run.wall_s);
  std::printf("\n");
  std::fflush(stdout);
}

void run_all(const Settings& settings, const fs::path& folder) {
  std::printf(
      "| dtype, kv | threads | particles | tokens/s | products alone, tokens/s | GFLOP/s | of roofline | of its mean "
      "| with KV | layers' products | head | attention | elementwise | draws | rest |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  const int most = *std::max_element(settings.particles.begin(), settings.particles.end());
  for (const std::string& dtype : settings.dtypes) {
    const lm::TransformerConfig config = lm::load_config(folder);
    ProductsOfAStep products(config, dtype, most);
    std::deque<NumberModel> models;
    for (const std::string& kv_dtype : settings.kv_dtypes)
      models.emplace_back(lm::load_cpu_transformer(config, std::make_shared<const lm::Safetensors>(folder),
                                                   {.dtype = dtype_of(dtype), .kv_dtype = kv_dtype_of(kv_dtype)}));
    for (const int threads : settings.threads)
      for (const int particles : settings.particles)
        for (std::size_t i = 0; i < models.size(); ++i)
          report(models[i], settings, &products, dtype + ", " + settings.kv_dtypes[i], threads, particles);
  }
}

void compare_contexts(const Settings& settings, const fs::path& folder) {
  for (const std::string& dtype : settings.dtypes)
    for (const int threads : settings.threads) {
      set_worker_threads(threads);
      std::printf("\n%s, %d threads\n\n", dtype.c_str(), threads);
      const LoadOptions options{.dtype = dtype_of(dtype)};
      report_jobs(*load_model("minnow", options), settings.particles);
      const NumberModel model(
          lm::load_cpu_transformer(lm::load_config(folder), std::make_shared<const lm::Safetensors>(folder), options));
      report_shared_text(model, settings.prompt, settings.tokens, settings.particles);
    }
}

Settings parse(int argc, char** argv) {
  Settings s;
  po::options_description options("bench_decode");
  options.add_options()("model", po::value(&s.model))("prompt", po::value(&s.prompt))("tokens", po::value(&s.tokens))(
      "contexts", po::bool_switch(&s.contexts))("particles", po::value<std::string>()->notifier([&](const auto& v) {
    s.particles = split_numbers(v);
  }))("dtype", po::value<std::string>()->notifier([&](const auto& v) { s.dtypes = split(v); }))(
      "kv-dtype", po::value<std::string>()->notifier([&](const auto& v) { s.kv_dtypes = split(v); }))(
      "threads", po::value<std::string>()->notifier([&](const auto& v) { s.threads = split_numbers(v); }))(
      "isa", po::value<std::string>()->notifier(force_isa_named));
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  return s;
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  using namespace shoal;
  try {
    const bench::Settings settings = bench::parse(argc, argv);
    const auto measure = settings.contexts ? bench::compare_contexts : bench::run_all;
    if (settings.model != "qwen-0.5b") {
      measure(settings, lm::find_checkpoint(settings.model));
      return 0;
    }
    const bench::ScratchFolder scratch;
    bench::write_random_checkpoint(bench::qwen_half_billion(), scratch.path());
    measure(settings, scratch.path());
  } catch (const std::exception& error) {
    std::cerr << "bench_decode: " << error.what() << '\n';
    return 2;
  }
}
