// Weights and resampling inside a particle filter whose answers are known exactly; mutants of it must fail.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <tuple>

#include "smc/exact.hpp"
#include "smc/markov_filter.hpp"
#include "smc/run.hpp"

namespace shoal::smc {
namespace {

using test::FilterOptions;
using test::FilterResult;
using test::Markov;
using test::MarkovFilter;
using test::Mutant;
using test::Sample;
using test::z_limit;

constexpr Resampling schemes[] = {Resampling::multinomial, Resampling::stratified, Resampling::systematic,
                                  Resampling::residual};
constexpr const char* scheme_names[] = {"multinomial", "stratified", "systematic", "residual"};
constexpr double always = 2.0;

struct Deviation {
  double z = 0.0;          ///< of Z-hat / Z
  double z_times_f = 0.0;  ///< of Z-hat * f-hat
  [[nodiscard]] double largest() const { return std::max(std::abs(z), std::abs(z_times_f)); }
};

Deviation deviation(std::size_t particles, int runs, FilterOptions options) {
  Sample z;
  Sample z_times_f;
  for (int r = 0; r < runs; ++r) {
    options.seed = static_cast<std::uint64_t>(r) + 1000;
    const FilterResult result = MarkovFilter(particles, options).run();
    z.add(result.z);
    z_times_f.add(result.z_times_f);
  }
  return {z.z(Markov::z()), z_times_f.z(Markov::z_of_last_in_0())};
}

class Filter : public testing::TestWithParam<std::tuple<int, double>> {};

/// Tests 4 and 5.
TEST_P(Filter, EvidenceAndPosteriorMeanAreUnbiased) {
  const auto [scheme, threshold] = GetParam();
  const Deviation d = deviation(64, 20'000, {.scheme = schemes[scheme], .threshold = threshold});
  std::printf("    z(Z) %+.2f  z(Z f) %+.2f\n", d.z, d.z_times_f);
  EXPECT_LT(d.largest(), z_limit) << d.z << ' ' << d.z_times_f;
}

std::string filter_name(const testing::TestParamInfo<Filter::ParamType>& info) {
  const double threshold = std::get<1>(info.param);
  return std::string(scheme_names[std::get<0>(info.param)]) + (threshold > 1.0 ? "_always" : "_half");
}
INSTANTIATE_TEST_SUITE_P(All, Filter, testing::Combine(testing::Range(0, 4), testing::Values(0.5, always)),
                         filter_name);

TEST(FilterWithoutResampling, IsUnbiased) { EXPECT_LT(deviation(64, 20'000, {.threshold = 0.0}).largest(), z_limit); }

/// Test 6: what changes the mean.
TEST(Mutants, WithABiasAreFoundByTheSameStatistics) {
  const std::pair<const char*, Mutant> mutants[] = {{"same numbers each step", Mutant::same_numbers_each_step},
                                                    {"carry weights", Mutant::carry_weights},
                                                    {"no reset", Mutant::no_reset},
                                                    {"whole potential each step", Mutant::whole_potential_each_step},
                                                    {"forgotten mean", Mutant::forgotten_mean}};
  for (const auto& [name, mutant] : mutants) {
    const Deviation half = deviation(64, 2000, {.threshold = 0.5, .mutant = mutant});
    const Deviation each = deviation(64, 2000, {.threshold = always, .mutant = mutant});
    std::printf("    %-26s at 0.5: z(Z) %+8.1f z(Z f) %+8.1f   always: z(Z) %+8.1f z(Z f) %+8.1f\n", name, half.z,
                half.z_times_f, each.z, each.z_times_f);
    EXPECT_GT(half.largest(), z_limit) << name;
    EXPECT_GT(each.largest(), z_limit) << name;
  }
}

/// Largest deviation of a mean count from N w, as in OffspringLaw.MeanIsNTimesTheWeightInEveryScheme.
double deviation_of_counts(Mutant mutant) {
  constexpr std::uint32_t n = 64;
  std::vector<double> log_weights;
  for (std::uint32_t i = 0; i < n; ++i) log_weights.push_back(std::sin(7.0 * i));
  const IntegerWeights weights = integer_weights(log_weights);
  std::vector<Sample> counts(n);
  for (std::uint32_t draw = 0; draw < 5000; ++draw) {
    const auto words = resampling_words(Resampling::systematic, n, {3}, draw);
    const auto drawn = test::counts_of(mutant, Resampling::systematic, weights, words);
    for (std::uint32_t i = 0; i < n; ++i) counts[i].add(drawn[i] + 1e-9 * (draw % 2));  // keeps constants testable
  }
  double largest = 0.0;
  for (std::uint32_t i = 0; i < n; ++i) {
    const double expected = n * static_cast<double>(weights.q[i]) / static_cast<double>(weights.total);
    largest = std::max(largest, std::abs(counts[i].z(expected + 0.5e-9)));
  }
  return largest;
}

TEST(Mutants, OfTheCountsAreFoundByTheirMeans) {
  EXPECT_LT(deviation_of_counts(Mutant::none), 5.2);
  EXPECT_GT(deviation_of_counts(Mutant::constant_offset), 5.2);
  EXPECT_GT(deviation_of_counts(Mutant::floor_counts), 5.2);
}

/// N Var(Z-hat / Z).
double scaled_variance(std::size_t n, Mutant mutant) {
  Sample z;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const FilterOptions options{.scheme = Resampling::multinomial, .threshold = always, .seed = seed, .mutant = mutant};
    z.add(MarkovFilter(n, options).run().z / Markov::z());
  }
  return static_cast<double>(n) * z.variance();
}

/// Test 7: the variance falls as 1/N.
TEST(Filter, VarianceTimesParticlesIsConstant) {
  const double reference = scaled_variance(64, Mutant::none);
  for (const std::size_t n : {16U, 32U, 128U, 256U}) {
    const double ratio = scaled_variance(n, Mutant::none) / reference;
    std::printf("    N = %zu: %.3f of that at 64\n", n, ratio);
    EXPECT_NEAR(ratio, 1.0, 0.15);
  }
}

TEST(Mutants, WithDependentSiblingsAreFoundByTheVariance) {
  const double ratio = scaled_variance(64, Mutant::same_numbers_as_siblings) / scaled_variance(64, Mutant::none);
  std::printf("    variance %.2f times that of independent siblings\n", ratio);
  EXPECT_GT(ratio, 1.15);
}

TEST(Filter, IsWhatTheRunLoopComputes) {
  const test::ToyModel model = Markov::model();
  const std::vector<PotentialPtr> potentials = {Markov::potential()};
  for (const Resampling scheme : schemes) {
    for (const double threshold : {0.0, 0.5, always}) {
      for (std::uint64_t seed = 0; seed < 4; ++seed) {
        const Options options{.particles = 64,
                              .batch_size = 1,
                              .max_tokens = 20,
                              .resampling = scheme,
                              .ess_threshold = threshold,
                              .seed = seed};
        SingleProcess alone;
        const RunResult result = run(model, {}, potentials, options, alone);
        MarkovFilter filter(64, {.scheme = scheme, .threshold = threshold, .seed = seed});
        EXPECT_NEAR(result.log_z, std::log(filter.run().z), 1e-6);
        for (std::size_t i = 0; i < 64; ++i)
          EXPECT_EQ(static_cast<std::size_t>(result.particles[i].tokens.back().value()), filter.last_states()[i]);
      }
    }
  }
}

/// One path drawn from the exact posterior: backwards from the last step.
std::vector<std::size_t> posterior_path(std::uint64_t seed) {
  static const auto alpha = Markov::forward();
  std::vector<std::size_t> path(Markov::steps);
  for (std::size_t t = Markov::steps; t-- > 0;) {
    Markov::Row p{};
    double total = 0.0;
    for (std::size_t s = 0; s < Markov::states; ++s) {
      const double onward = t + 1 == Markov::steps ? 1.0 : Markov::transition[s][path[t + 1]];
      total += p[s] = static_cast<double>(alpha[t][s]) * onward;
    }
    for (double& x : p) x /= total;
    path[t] = Markov::invert(p, random_uniform({seed}, static_cast<std::uint32_t>(t), {}, Purpose::synthetic));
  }
  return path;
}

/// Z-hat of a conditional filter (Andrieu, Doucet & Holenstein 2010): particle 0 is the given path and always has a
/// child of its own; the other N-1 children are multinomial.
double conditional_z(std::size_t n, double threshold, std::uint64_t seed) {
  const auto path = posterior_path(seed);
  std::vector<std::size_t> state(n);
  std::vector<double> log_weight(n);
  for (std::uint32_t t = 0; t < Markov::steps; ++t) {
    for (std::uint32_t i = 0; i < n; ++i) {
      const double u = random_uniform({seed}, t, LogicalId{i}, Purpose::token);
      state[i] = i == 0 ? path[t] : Markov::invert(Markov::row(t, state[i]), u);
      log_weight[i] += Markov::log_g(t, state[i]);
    }
    const IntegerWeights weights = integer_weights(log_weight);
    if (effective_sample_size(weights) >= threshold * static_cast<double>(n)) continue;
    const auto before = state;
    for (std::uint32_t i = 1; i < n; ++i) {  // child i: the only child of one word of a multinomial resampling
      std::uint64_t left = random_bits({seed}, t, LogicalId{i}, Purpose::resample) % weights.total;
      std::size_t parent = 0;
      while (left >= weights.q[parent]) left -= weights.q[parent++];
      state[i] = before[parent];
    }
    log_weight.assign(n, log_mean_weight(weights));
  }
  return std::exp(log_mean_weight(integer_weights(log_weight)));
}

/// T13: E[1 / Z-hat] = 1/Z when one particle is an exact draw.
TEST(ConditionalFilter, InverseEvidenceIsUnbiased) {
  for (const double threshold : {0.0, 0.5, always}) {
    Sample inverse;
    for (std::uint64_t r = 0; r < 10'000; ++r) inverse.add(1.0 / conditional_z(8, threshold, r));
    std::printf("    threshold %.1f: z %+.2f\n", threshold, inverse.z(1.0 / Markov::z()));
    EXPECT_LT(std::abs(inverse.z(1.0 / Markov::z())), z_limit);
  }
}

}  // namespace
}  // namespace shoal::smc
