// Attention of one layer in a decode step of 64 rows, one thread, as runs compute it: a prompt that all rows share,
// then positions of their own, all layers together larger than the caches, the next task's keys and values fetched
// meanwhile. Shapes: 16 query heads with 16 key/value heads, 14 with 2; head dimension 64. `faster` is by how many
// times it is faster than the same rows one query at a time, in the same run. Limit: reading the rows' own keys and
// values once from memory. --isa=avx2 holds the kernels to an instruction set.
#include <benchmark/benchmark.h>

#include <cmath>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned.hpp"
#include "limit.hpp"
#include "lists.hpp"
#include "lm/cpu/attention_plan.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/matmul.hpp"

namespace shoal::bench {
namespace {

using lm::cpu::AttentionPlan;
using lm::cpu::AttentionQuery;
using lm::cpu::AttentionTask;
using lm::cpu::block_positions;
using lm::cpu::KvFormat;

constexpr std::size_t rows = 64;
constexpr std::size_t head_dim = 64;
constexpr std::size_t pool_bytes = std::size_t{128} << 20U;

struct Shape {
  std::size_t heads;
  std::size_t kv_heads;
  std::size_t shared;  ///< positions, whole blocks
  std::size_t own;
};

/// The rows of a decode step with the keys and values of as many layers as take pool_bytes.
template <class T>
class DecodeStep {
 public:
  DecodeStep(const Shape& shape, KvFormat format)
      : shape_(shape),
        kernels_(lm::cpu::attention_kernels<T>(format)),
        layout_(lm::cpu::head_layout(format, lm::cpu::operand_type<T>, head_dim)),
        layers_(pool_bytes / own_bytes() + 1),
        block_bytes_(layers_ * shape.kv_heads * layout_.bytes()),
        query_(rows * shape.heads * head_dim),
        out_(query_.size()) {
    const std::size_t shared = shape.shared / block_positions;
    const std::size_t own = (shape.own + block_positions - 1) / block_positions;
    storage_.resize((shared + rows * own) * block_bytes_);
    fill(shared + rows * own);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t b = 0; b < shared; ++b) blocks_.push_back(block(b));
      for (std::size_t b = 0; b < own; ++b) blocks_.push_back(block(shared + b * rows + r));
    }
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t h = 0; h < together(); ++h)
        queries_.push_back({blocks_.data() + r * (shared + own), 0, static_cast<int>(shape.shared + shape.own)});
  }

  [[nodiscard]] std::size_t layers() const { return layers_; }
  /// Of one layer.
  [[nodiscard]] std::size_t own_bytes() const {
    return rows * shape_.own * shape_.kv_heads * layout_.bytes() / block_positions;
  }
  [[nodiscard]] AttentionPlan plan(int group) const { return {queries_, group, layout_}; }

  void attend(const AttentionPlan& plan, std::size_t layer) {
    const std::size_t groups = plan.groups().size(), tasks = groups * shape_.kv_heads;
    AttentionTask<T> task = task_of(plan, layer, 0);
    for (std::size_t i = 1; i < tasks; ++i) {
      const AttentionTask<T> next = task_of(plan, layer, i);
      kernels_.attend(task, &next);
      task = next;
    }
    kernels_.attend(task, nullptr);
    benchmark::ClobberMemory();
  }

 private:
  [[nodiscard]] std::size_t together() const { return shape_.heads / shape_.kv_heads; }
  [[nodiscard]] const std::byte* block(std::size_t index) const { return storage_.data() + index * block_bytes_; }
  void fill(std::size_t blocks) {
    std::uint32_t bits = 1;
    const auto next = [&] {
      bits = bits * 1664525U + 1013904223U;
      return static_cast<float>(bits >> 8U) * 0x1p-23F - 1.0F;
    };
    for (float& x : query_) x = next();
    std::vector<float> row(head_dim);
    for (std::size_t at = 0; at < blocks * block_bytes_; at += layout_.bytes())
      for (int slot = 0; slot < block_positions; ++slot) {
        for (float& x : row) x = next();
        kernels_.store_key(row.data(), head_dim, slot, storage_.data() + at);
        kernels_.store_value(row.data(), head_dim, slot, storage_.data() + at);
      }
  }
  [[nodiscard]] AttentionTask<T> task_of(const AttentionPlan& plan, std::size_t layer, std::size_t index) {
    const std::size_t kv_head = index / plan.groups().size(), group = index % plan.groups().size();
    AttentionTask<T> task{
        &plan.groups()[group], {}, {}, (layer * shape_.kv_heads + kv_head) * layout_.bytes(), head_dim, 1.0F / 8.0F};
    for (int q = 0; q < task.group->count; ++q) {
      const std::size_t query = plan.first_query(group) + static_cast<std::size_t>(q);
      const std::size_t head = kv_head * together() + query % together();
      const std::size_t at = (query / together() * shape_.heads + head) * head_dim;
      task.queries[q] = query_.data() + at;
      task.out[q] = out_.data() + at;
    }
    return task;
  }

  Shape shape_;
  const lm::cpu::AttentionKernels<T>& kernels_;
  lm::cpu::HeadLayout layout_;
  std::size_t layers_;
  std::size_t block_bytes_;
  AlignedVector<std::byte> storage_;
  std::vector<float> query_;
  std::vector<T> out_;
  std::vector<const std::byte*> blocks_;
  std::vector<AttentionQuery> queries_;
};

template <class T, KvFormat format>
void Attend(benchmark::State& state) {
  if (format == KvFormat::int8 && !lm::cpu::has_vnni()) return state.SkipWithError("no VNNI instructions");
  const auto arg = [&](int i) { return static_cast<std::size_t>(state.range(i)); };
  DecodeStep<T> step({arg(0), arg(1), arg(2), arg(3)}, format);
  const AttentionPlan alone = step.plan(1), grouped = step.plan(lm::cpu::attention_queries);
  const auto layers = static_cast<double>(step.layers());
  const double alone_seconds = quickest(3, [&] {
    for (std::size_t layer = 0; layer < step.layers(); ++layer) step.attend(alone, layer);
  });
  std::size_t layer = 0;
  for (auto _ : state) {
    step.attend(grouped, layer);
    layer = (layer + 1) % step.layers();
  }
  state.counters["faster"] = benchmark::Counter(alone_seconds / layers, benchmark::Counter::kIsIterationInvariantRate);
  set_limit(&state, read_seconds(pool_bytes) * static_cast<double>(step.own_bytes()) / static_cast<double>(pool_bytes));
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"heads", "kv", "shared", "own"})->Unit(benchmark::kMicrosecond);
  for (const auto& [heads, kv_heads] : {std::pair{16, 16}, {14, 2}})
    for (const auto& [shared, own] : {std::pair{64, 36}, {512, 64}, {2048, 64}})
      benchmark->Args({heads, kv_heads, shared, own});
}
BENCHMARK_TEMPLATE(Attend, float, KvFormat::as_operands)->Name("Attend/f32")->Apply(shapes);
BENCHMARK_TEMPLATE(Attend, lm::Bf16, KvFormat::as_operands)->Name("Attend/bf16")->Apply(shapes);
BENCHMARK_TEMPLATE(Attend, lm::Bf16, KvFormat::int8)->Name("Attend/bf16, int8 keys and values")->Apply(shapes);

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  constexpr std::string_view isa = "--isa=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (!argument.starts_with(isa)) {
      std::cerr << "bench_attention: unknown argument '" << argument << "' (not --isa=NAME) see --help\n";
      return 2;
    }
    shoal::bench::force_isa_named(std::string(argument.substr(isa.size())));
  }
  benchmark::RunSpecifiedBenchmarks();
}
