// The SMC layer by itself: weights, resampling, and the distribution of the next token over a vocabulary of 151,936.
// Rows come from a pool larger than the last-level cache, as they do after a forward pass; CopyRow and ReadRow show
// what the memory gives, and the counters limit_us and of_limit (limit.hpp) what moving the same data alone would take.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "limit.hpp"
#include "smc/proposal.hpp"
#include "smc/resampling.hpp"
#include "smc/token_distribution.hpp"
#include "smc/weights.hpp"

namespace shoal::smc {
namespace {

constexpr int vocabulary_size = 151'936;
constexpr std::size_t row_size = vocabulary_size;

const Vocabulary& vocabulary() {
  static const Vocabulary v = [] {
    std::vector<std::string> bytes;
    for (int id = 0; id < vocabulary_size; ++id) bytes.push_back(id < 151'643 ? std::to_string(id) : "");
    return Vocabulary(std::move(bytes), {TokenId{vocabulary_size - 1}});
  }();
  return v;
}

double uniform(std::uint32_t i) { return random_uniform({1}, 0, LogicalId{i}, Purpose::synthetic); }

/// Peaked like a language model's: most of the mass on some hundred tokens.
const std::vector<float>& logits() {
  static const std::vector<float> row = [] {
    std::vector<float> x;
    for (std::uint32_t v = 0; v < row_size; ++v) x.push_back(static_cast<float>(-1.6 * std::log(uniform(v)) - 4.0));
    return x;
  }();
  return row;
}

/// 64 rows, 39 MB; each is handed out once, then all are filled again outside the timing.
class RowPool {
 public:
  std::span<float> next(benchmark::State* state) {
    if (used_ == count) refill(state);
    return std::span(rows_).subspan(row_size * used_++, row_size);
  }

 private:
  static constexpr std::size_t count = 64;
  void refill(benchmark::State* state) {
    state->PauseTiming();
    for (std::size_t r = 0; r < count; ++r)
      std::memcpy(rows_.data() + r * row_size, logits().data(), row_size * sizeof(float));
    used_ = 0;
    state->ResumeTiming();
  }
  std::vector<float> rows_ = std::vector<float>(count * row_size);
  std::size_t used_ = count;
};

void set_bytes(benchmark::State* state) {
  state->SetBytesProcessed(static_cast<std::int64_t>(state->iterations() * row_size * sizeof(float)));
}

/// A row is read once, from memory.
void set_row_limit(benchmark::State* state) {
  static const double pool_s = bench::read_seconds(64 * row_size * sizeof(float));
  bench::set_limit(state, pool_s / 64);
}

void CopyRow(benchmark::State& state) {
  RowPool pool;
  std::vector<float> to(row_size);
  for (auto _ : state) {
    std::memcpy(to.data(), pool.next(&state).data(), row_size * sizeof(float));
    benchmark::ClobberMemory();
  }
  set_bytes(&state);
}
BENCHMARK(CopyRow)->Unit(benchmark::kMicrosecond);

void ReadRow(benchmark::State& state) {
  RowPool pool;
  for (auto _ : state) {
    const auto row = pool.next(&state);
    float lanes[64] = {};
    for (std::size_t v = 0; v < row_size; v += 64)
      for (std::size_t i = 0; i < 64; ++i) lanes[i] += row[v + i];
    benchmark::DoNotOptimize(lanes);
  }
  set_bytes(&state);
}
BENCHMARK(ReadRow)->Unit(benchmark::kMicrosecond);

/// A mask of every n-th token of the vocabulary.
TokenMask every(int n) {
  TokenMask mask;
  mask.bits.assign(vocabulary().text_tokens().bits.size(), 0);
  mask.end = true;
  for (int v = 0; v < vocabulary_size; v += n)
    if (vocabulary().text_tokens().test(TokenId{v})) mask.set(TokenId{v});
  return mask;
}

void Distribution(benchmark::State& state, const TokenMask& allowed, Truncation truncation) {
  RowPool pool;
  for (auto _ : state) {
    const TokenDistribution q(pool.next(&state), vocabulary(), allowed, 1.0, truncation);
    benchmark::DoNotOptimize(q.log_mass());
  }
  set_bytes(&state);
  set_row_limit(&state);
}
BENCHMARK_CAPTURE(Distribution, whole, vocabulary().text_tokens(), {})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Distribution, one_in_100_allowed, every(100), {})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Distribution, top_k_40, vocabulary().text_tokens(), {40, 1.0})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Distribution, top_p_0_9, vocabulary().text_tokens(), {0, 0.9})->Unit(benchmark::kMicrosecond);

void Draw(benchmark::State& state) {
  std::vector<float> row = logits();
  const TokenDistribution q(row, vocabulary(), vocabulary().text_tokens(), 1.0, {});
  std::uint32_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(q.draw(uniform(++i)));
  constexpr std::size_t half_the_chunks_and_half_a_chunk =
      (row_size / 1024 * sizeof(double) + 1024 * sizeof(float)) / 2;
  bench::set_limit(&state, bench::read_seconds(half_the_chunks_and_half_a_chunk));
}
BENCHMARK(Draw)->Unit(benchmark::kMicrosecond);

/// A potential that answers with one mask, as a cached one does.
class FixedMask final : public Potential {
 public:
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] PotentialState start() const override { return {}; }
  void advance(PotentialState&, std::string_view) const override {}
  [[nodiscard]] double log_prefix(const PotentialState&) const override { return 0.0; }
  [[nodiscard]] double log_complete(const PotentialState&) const override { return 0.0; }
  [[nodiscard]] std::shared_ptr<const TokenMask> allowed(const PotentialState&, const Vocabulary&) const override {
    return mask_;
  }

 private:
  std::string name_ = "fixed";
  std::shared_ptr<const TokenMask> mask_ = std::make_shared<TokenMask>(every(2));
};

/// With this many masks to combine; the difference to none is what masks cost.
void MaskedProposal(benchmark::State& state) {
  const std::vector<PotentialPtr> potentials(static_cast<std::size_t>(state.range(0)), std::make_shared<FixedMask>());
  const StopStrings stops({}, vocabulary());
  const auto proposal = make_proposal(
      ProposalKind::masked,
      {.vocabulary = vocabulary(), .potentials = potentials, .stops = stops, .temperature = 1.0, .truncation = {}});
  const std::vector<PotentialState> states(potentials.size());
  RowPool pool;
  for (auto _ : state)
    benchmark::DoNotOptimize(proposal->distribution(pool.next(&state), {states, StopStrings::start()}).log_mass());
  set_row_limit(&state);
}
BENCHMARK(MaskedProposal)->Arg(0)->Arg(1)->Arg(4)->Unit(benchmark::kMicrosecond);

std::vector<double> log_weights(std::size_t n) {
  std::vector<double> lw;
  for (std::uint32_t i = 0; i < n; ++i) lw.push_back(8.0 * uniform(i));
  return lw;
}

void Weights(benchmark::State& state) {
  const auto lw = log_weights(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    const IntegerWeights weights = integer_weights(lw);
    benchmark::DoNotOptimize(log_mean_weight(weights) + effective_sample_size(weights));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  bench::set_limit(&state, bench::copy_seconds(lw.size() * sizeof(double)));  // log-weights in, whole numbers out
}
BENCHMARK(Weights)->Arg(100)->Arg(4096)->Arg(65536)->Unit(benchmark::kMicrosecond);

void Resample(benchmark::State& state, Resampling scheme) {
  const IntegerWeights weights = integer_weights(log_weights(static_cast<std::size_t>(state.range(0))));
  std::uint32_t batch = 0;
  for (auto _ : state) {
    const auto words = resampling_words(scheme, weights.q.size(), {1}, ++batch);
    benchmark::DoNotOptimize(ancestors_of(offspring_counts(scheme, weights.q, words)));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  bench::set_limit(&state, bench::copy_seconds(weights.q.size() * sizeof(weights.q[0])));  // weights in, parents out
}
BENCHMARK_CAPTURE(Resample, systematic, Resampling::systematic)->Arg(100)->Arg(65536)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Resample, stratified, Resampling::stratified)->Arg(65536)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Resample, residual, Resampling::residual)->Arg(65536)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Resample, multinomial, Resampling::multinomial)->Arg(65536)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace shoal::smc

BENCHMARK_MAIN();
