// Decoding speed of whole SMC runs on a GPU beside what the GPU can do, both measured in this process.
//
//   bench_gpu [--models 0.5b,1.1b,8b] [--particles 64,200,1024] [--dtype bf16,int8] [--prompt 64] [--tokens 100]
//             [--workers 2] [--scratch DIR]
//
// The models are random checkpoints of known shapes, written to a scratch folder (8b: 15 GB). For each row:
// milliseconds per token step, particle-tokens per second, the step of the roofline (the larger of: weights and the
// particles' keys and values read once at the measured copy rate, and the matrix products at the measured rate of a
// large product), and the share of the roofline that is reached. No potentials, so nearly every particle is a distinct
// context.
#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "base/stopwatch.hpp"
#include "lists.hpp"
#include "lm/cuda/batch_sizes.hpp"
#include "lm/cuda/gpus.hpp"
#include "lm/cuda/memory.hpp"
#include "lm/cuda/products.hpp"
#include "lm/cuda/transformer.hpp"
#include "number_model.hpp"
#include "random_checkpoint.hpp"
#include "scratch_folder.hpp"

namespace shoal::bench {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;
using namespace lm::cuda;

struct Settings {
  std::vector<std::string> models{"0.5b", "1.1b", "8b"};
  std::vector<int> particles{64, 200, 1024};
  std::vector<std::string> dtypes{"bf16"};
  int prompt = 64;
  int tokens = 100;
  int workers = 2;  ///< micro-batches
  fs::path scratch = fs::temp_directory_path();
};

/// What this GPU does at best.
struct Rates {
  double bytes_per_s = 0.0;  ///< read or written by a copy within its memory
  double flops = 0.0;        ///< of a large product in the dtype
};

template <class Work>
double best_seconds(const Stream& stream, int repetitions, const Work& work) {
  double best = 1e300;
  for (int i = 0; i < repetitions; ++i) {
    const Stopwatch watch;
    work();
    stream.wait();
    best = std::min(best, watch.seconds());
  }
  return best;
}

Rates measure_rates(lm::cuda::Output output) {
  const Stream stream;
  Rates rates;
  {
    const std::size_t bytes = std::size_t{4} << 30U;
    const Array<std::byte> from(bytes), to(bytes);
    const double s = best_seconds(stream, 5, [&] {
      check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, stream.get()), "copy");
    });
    rates.bytes_per_s = 2.0 * static_cast<double>(bytes) / s;
  }
  const ProductShape shape{8192, 8192, output, false};
  const std::size_t elements = std::size_t{8192} * 8192;
  const Array<std::uint16_t> weights(elements), x(elements);
  const Array<float> y(elements);
  check(cudaMemsetAsync(weights.data(), 0x3C, weights.bytes(), stream.get()), "fill");
  check(cudaMemsetAsync(x.data(), 0x3C, x.bytes(), stream.get()), "fill");
  Products products(stream);
  products.prepare(shape, weights.data());
  constexpr int at_once = 8;
  const double s = best_seconds(stream, 10, [&] {
    for (int i = 0; i < at_once; ++i)
      products.multiply(shape, most_rows, {weights.data(), x.data(), nullptr, y.data()});
  });
  rates.flops = 2.0 * at_once * most_rows * static_cast<double>(elements) / s;
  return rates;
}

CheckpointShape shape_of(const std::string& name) {
  if (name == "0.5b") return qwen_half_billion();
  if (name == "1.1b") return tiny_llama();
  if (name == "8b") return llama_8b();
  throw std::invalid_argument("unknown model '" + name + "' (not 0.5b, 1.1b or 8b)");
}

double roofline_step_s(const NumberModel& model, const std::string& dtype, const Settings& settings, int particles,
                       const Rates& rates) {
  const lm::TransformerConfig& c = model.config();
  const double layer = static_cast<double>(c.hidden_size) * (2 * c.query_size() + 2 * c.kv_size()) +
                       3.0 * c.hidden_size * c.intermediate_size;
  const double elements = c.layers * layer + static_cast<double>(c.hidden_size) * c.vocabulary_size;
  const double weights = elements * (dtype == "int8" ? 1 : 2);
  const double each_token = static_cast<double>(model.transformer().block_bytes()) / 16.0;
  const double keys = each_token * (settings.prompt + particles * settings.tokens / 2.0);
  return std::max((weights + keys) / rates.bytes_per_s, 2.0 * elements * particles / rates.flops);
}

void report(const NumberModel& model, const std::string& name, const std::string& dtype, const Settings& settings,
            int particles, const Rates& rates) {
  (void)decode(model, settings.prompt, particles, settings.tokens, settings.workers);  // records the graphs
  const smc::RunResult run = decode(model, settings.prompt, particles, settings.tokens, settings.workers);
  const double step = run.wall_s / settings.tokens, best = roofline_step_s(model, dtype, settings, particles, rates);
  std::printf("| %s | %s | %d | %.3f | %.0f | %.3f | %.1f %% | %.1f %% | %.1f %% |\n", name.c_str(), dtype.c_str(),
              particles, 1e3 * step, static_cast<double>(run.particle_tokens) / run.wall_s, 1e3 * best,
              100.0 * best / step, 100.0 * run.times.decode_s / run.wall_s, 100.0 * run.times.potential_s / run.wall_s);
  std::fflush(stdout);
}

/// @param rates by dtype
void run_model(const std::string& name, const Settings& settings, const std::map<std::string, Rates>& rates) {
  const ScratchFolder scratch(settings.scratch);
  const fs::path& folder = scratch.path();
  write_random_checkpoint(shape_of(name), folder);
  for (const std::string& dtype : settings.dtypes) {
    const NumberModel model(load_transformer(lm::load_config(folder), std::make_shared<const lm::Safetensors>(folder),
                                             {.dtype = dtype_of(dtype)}));
    for (const int particles : settings.particles) report(model, name, dtype, settings, particles, rates.at(dtype));
  }
}

Settings parse(int argc, char** argv) {
  Settings s;
  std::string scratch = s.scratch.string();
  po::options_description options("bench_gpu");
  options.add_options()("models", po::value<std::string>()->notifier([&](const auto& v) { s.models = split(v); }))(
      "particles", po::value<std::string>()->notifier([&](const auto& v) { s.particles = split_numbers(v); }))(
      "dtype", po::value<std::string>()->notifier([&](const auto& v) { s.dtypes = split(v); }))(
      "prompt", po::value(&s.prompt))("tokens", po::value(&s.tokens))("workers", po::value(&s.workers))(
      "scratch", po::value(&scratch));
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  s.scratch = scratch;
  return s;
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  using namespace shoal;
  try {
    const bench::Settings settings = bench::parse(argc, argv);
    const auto& gpus = lm::find_gpus();
    if (const std::string problem = gpus.problem.empty() ? lm::cuda::problem_of(0) : gpus.problem; !problem.empty()) {
      std::cout << "skipped: no GPU (" << problem << ")\n";
      return 77;
    }
    std::map<std::string, bench::Rates> rates;
    for (const std::string& dtype : settings.dtypes) {
      const bench::Rates& best = rates[dtype] =
          bench::measure_rates(dtype == "int8" ? lm::cuda::Output::sums_of_8_bits : lm::cuda::Output::bf16);
      std::printf("%s: copies move %.2f TB/s, an %d x 8192 x 8192 product in %s runs at %.0f T/s\n",
                  gpus.all.front().name.c_str(), best.bytes_per_s * 1e-12, lm::cuda::most_rows, dtype.c_str(),
                  best.flops * 1e-12);
    }
    std::printf(
        "\n| model | dtype | particles | step, ms | tokens/s | roofline, ms | of roofline | forward and draws | rest "
        "of draws |\n"
        "|---|---|---|---|---|---|---|---|---|\n");
    for (const std::string& name : settings.models) bench::run_model(name, settings, rates);
  } catch (const std::exception& error) {
    std::cerr << "bench_gpu: " << error.what() << '\n';
    return 2;
  }
}
