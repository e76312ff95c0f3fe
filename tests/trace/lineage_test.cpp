// Who descends from whom, and the error of log Z-hat that follows.
#include "trace/lineage.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "shoal/error.hpp"
#include "trace/synthetic_run.hpp"

namespace shoal::trace {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

smc::BatchRecord record(std::uint32_t batch, std::vector<double> log_weight, std::vector<std::uint32_t> ancestor = {}) {
  smc::BatchRecord r;
  const std::size_t n = log_weight.size();
  r.batch = batch;
  r.log_weight = std::move(log_weight);
  r.resampled = !ancestor.empty();
  r.ancestor = std::move(ancestor);
  if (r.ancestor.empty()) {
    r.ancestor.resize(n);
    std::iota(r.ancestor.begin(), r.ancestor.end(), 0U);
  }
  r.rank.assign(n, 0);
  r.finished.assign(n, 0);
  r.token.assign(n, -1);
  return r;
}

Trace trace_of(std::vector<smc::BatchRecord> batches) {
  Trace trace;
  trace.info.particles = static_cast<int>(batches.front().log_weight.size());
  trace.info.batch_size = 1;
  trace.batches = std::move(batches);
  return trace;
}

TEST(Lineage, AncestorsAreFollowedBackOverResamplings) {
  const Trace trace = trace_of({record(0, {0, 0, 0, 0}, {2, 2, 3, 3}), record(1, {0, 0, 0, 0}),
                                record(2, {0, 0, 0, 0}, {0, 1, 1, 2}), record(3, {0, 0, 0, 0})});

  EXPECT_EQ(ancestors_at(trace, std::vector<std::uint32_t>{0, 2, 3}, 3, 2), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(ancestors_at(trace, std::vector<std::uint32_t>{0, 2, 3}, 3, 0), (std::vector<std::uint32_t>{2, 2, 3}));
  EXPECT_EQ(surviving_lineages(trace), (std::vector<std::size_t>{2, 3, 3, 4}));
}

TEST(Lineage, ParticlesOfWeightZeroLeaveNoSurvivors) {
  const Trace trace = trace_of({record(0, {0, 0, 0}, {0, 1, 1}), record(1, {-infinity, 0, -infinity})});
  EXPECT_EQ(surviving_lineages(trace), (std::vector<std::size_t>{1, 1}));
}

TEST(Lineage, TextFollowsTheAncestors) {
  Trace trace = trace_of({record(0, {0, 0}, {1, 1}), record(1, {0, 0})});
  trace.batches[0].token = {10, 11};
  trace.batches[1].token = {12, -1};
  trace.token_bytes = {{10, "a"}, {11, "b"}};

  EXPECT_EQ(text_after(trace, 1, 0), "b[12]") << "a token without known bytes shows its id";
  EXPECT_EQ(text_after(trace, 1, 1), "b");
}

TEST(Lineage, DamagedTracesAreRefused) {
  Trace stranger = trace_of({record(0, {0, 0}, {0, 2})});
  Trace short_row = trace_of({record(0, {0, 0}), record(1, {0, 0})});
  short_row.batches[1].rank.pop_back();

  EXPECT_THROW(check_lineage(stranger), IoError);
  EXPECT_THROW(check_lineage(short_row), IoError);
  EXPECT_NO_THROW(check_lineage(testing::synthetic_trace({})));
}

TEST(LogZError, IsTheErrorOfAMeanBeforeAnyResampling) {
  const std::vector<double> w{1.0, 2.0, 4.0, 5.0};  // mean 3, variance 10 / 3

  const auto errors =
      log_z_errors(trace_of({record(0, {std::log(w[0]), std::log(w[1]), std::log(w[2]), std::log(w[3])})}));

  EXPECT_NEAR(errors[0].standard_error, std::sqrt(10.0 / 3.0 / 4.0) / 3.0, 1e-12);
  EXPECT_EQ(errors[0].founders, 4U);
}

TEST(LogZError, IsZeroForEqualWeights) {
  EXPECT_EQ(log_z_errors(trace_of({record(0, {-3, -3, -3})}))[0].standard_error, 0.0);
}

TEST(LogZError, SaysWhyThereIsNone) {
  const auto reason = [](const Trace& trace) {
    const LogZError error = log_z_errors(trace).back();
    EXPECT_TRUE(std::isnan(error.standard_error));
    return std::string(error.why_not);
  };
  EXPECT_EQ(reason(trace_of({record(0, {-1})})), "one particle says nothing about its spread");
  EXPECT_EQ(reason(trace_of({record(0, {-infinity, -infinity})})), "every weight is zero");
  EXPECT_EQ(reason(trace_of({record(0, {0, 0}, {1, 1}), record(1, {0, 0})})),
            "all particles descend from one particle of the first batch");
  EXPECT_EQ(reason(trace_of({record(0, {0, 0}, {0, 1}), record(1, {0, 0})})),
            "the estimate is negative, as happens with few particles");
  EXPECT_EQ(reason(trace_of({record(5, {0, 1})})), "the trace does not hold the run's first batches");
}

/// A two-state chain, weight 1 or 3, resampled multinomially after every batch.
Trace random_run(std::mt19937_64* random, std::size_t n, std::size_t batches) {
  std::vector<int> state(n, 0);
  std::vector<smc::BatchRecord> records;
  double log_z = 0.0;
  for (std::size_t b = 0; b < batches; ++b) {
    std::vector<double> weights(n);
    for (std::size_t i = 0; i < n; ++i) {
      state[i] = std::bernoulli_distribution(state[i] == 0 ? 0.3 : 0.8)(*random) ? 1 : 0;
      weights[i] = state[i] == 0 ? 1.0 : 3.0;
    }
    std::vector<double> log_weights;
    for (const double w : weights) log_weights.push_back(log_z + std::log(w));
    log_z += std::log(std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(n));
    std::discrete_distribution<std::uint32_t> draw(weights.begin(), weights.end());
    std::vector<std::uint32_t> ancestors(n);
    std::vector<int> children(n);
    for (std::size_t i = 0; i < n; ++i) children[i] = state[ancestors[i] = draw(*random)];
    records.push_back(record(static_cast<std::uint32_t>(b), log_weights, ancestors));
    records.back().log_z = log_z;
    state = children;
  }
  return trace_of(std::move(records));
}

TEST(LogZError, VarianceIsUnbiasedUnderMultinomialResampling) {
  // E[Z-hat^2 V] = Var(Z-hat), Lee & Whiteley (2018), theorem 1.
  std::mt19937_64 random(7);
  constexpr int runs = 40'000;
  double sum = 0.0;
  double squares = 0.0;
  double estimates = 0.0;
  for (int r = 0; r < runs; ++r) {
    const Trace trace = random_run(&random, 8, 3);
    const double z = std::exp(trace.batches.back().log_z);
    sum += z;
    squares += z * z;
    estimates += z * z * log_z_errors(trace).back().variance;
  }
  const double mean = sum / runs;
  const double variance = squares / runs - mean * mean;
  EXPECT_NEAR(estimates / runs / variance, 1.0, 0.05);
}

}  // namespace
}  // namespace shoal::trace
