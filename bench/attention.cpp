// Attention of one new token per context over its key/value blocks, one thread, as a 0.5B model has it (head dimension
// 64, 16 query heads in a layer). All contexts together are larger than the caches, as in a run. Limit: reading the
// keys and values once from memory.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "limit.hpp"
#include "lm/cpu/kernels.hpp"

namespace shoal::bench {
namespace {

using lm::cpu::AttentionTask;
using lm::cpu::block_positions;
using lm::cpu::kernels;

constexpr int head_dim = 64;
constexpr int heads = 16;
constexpr std::size_t pool_bytes = std::size_t{128} << 20U;

/// Keys and values of @p contexts sequences: a block holds all heads' parts one after the other.
template <class T>
class Contexts {
 public:
  Contexts(int contexts, int positions) : blocks_per_context_((positions + block_positions - 1) / block_positions) {
    std::vector<float> row(head_dim);
    for (int c = 0; c < contexts * blocks_per_context_; ++c) {
      storage_.push_back(std::make_unique<T[]>(block_size));
      for (int h = 0; h < heads; ++h)
        for (int p = 0; p < block_positions; ++p) {
          for (int d = 0; d < head_dim; ++d)
            row[static_cast<std::size_t>(d)] = std::sin(static_cast<float>(c + 7 * h + 13 * p + 3 * d));
          T* part = storage_.back().get() + head_offset(h);
          kernels<T>().store_key(row.data(), head_dim, p, part);
          kernels<T>().store_value(row.data(), head_dim, p, part + block_positions * head_dim);
        }
      blocks_.push_back(reinterpret_cast<const std::byte*>(storage_.back().get()));
    }
  }
  [[nodiscard]] const std::byte* const* blocks_of(int context) const {
    return blocks_.data() + static_cast<std::ptrdiff_t>(context) * blocks_per_context_;
  }
  static constexpr std::size_t head_offset(int head) {
    return static_cast<std::size_t>(head) * 2 * block_positions * head_dim;
  }

 private:
  static constexpr std::size_t block_size = std::size_t{2} * block_positions * head_dim * heads;
  int blocks_per_context_;
  std::vector<std::unique_ptr<T[]>> storage_;
  std::vector<const std::byte*> blocks_;
};

/// All heads of one context.
template <class T>
void Attend(benchmark::State& state) {
  const int positions = static_cast<int>(state.range(0));
  const std::size_t bytes = std::size_t{2} * heads * head_dim * sizeof(T) * static_cast<std::size_t>(positions);
  const int count = static_cast<int>(pool_bytes / bytes);
  const Contexts<T> contexts(count, positions);
  const std::vector<float> query(head_dim, 0.1F);
  std::vector<T> out(head_dim);
  int next = 0;
  for (auto _ : state) {
    for (int h = 0; h < heads; ++h)
      kernels<T>().attend({query.data(), contexts.blocks_of(next), Contexts<T>::head_offset(h), 0, positions, head_dim,
                           1.0F / std::sqrt(static_cast<float>(head_dim)), out.data()});
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
    next = (next + 1) % count;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  set_limit(&state, read_seconds(pool_bytes) * static_cast<double>(bytes) / static_cast<double>(pool_bytes));
}
BENCHMARK_TEMPLATE(Attend, float)->Name("Attend/f32")->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);
BENCHMARK_TEMPLATE(Attend, lm::Bf16)->Name("Attend/bf16")->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace shoal::bench

BENCHMARK_MAIN();
