// The run loop against the exact target, by enumeration of every text.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <tuple>

#include "base/parallel.hpp"
#include "smc/exact.hpp"
#include "smc/run.hpp"
#include "smc/toy_worlds.hpp"

namespace shoal::smc {
namespace {

using test::Sample;
using test::World;
using test::z_limit;

constexpr Resampling schemes[] = {Resampling::multinomial, Resampling::stratified, Resampling::systematic,
                                  Resampling::residual};
constexpr const char* scheme_names[] = {"multinomial", "stratified", "systematic", "residual"};
constexpr double always = 2.0;

RunResult run_with(const World& world, const Options& options) {
  set_worker_threads(1);  // many tiny runs
  SingleProcess alone;
  return run(world.model, {}, world.potentials, options, alone);
}

/// Unnormalised estimate of the weight on the texts that satisfy @p condition.
template <class Condition>
double weight_on(const RunResult& result, const Condition& condition) {
  double sum = 0.0;
  for (const ParticleResult& particle : result.particles)
    if (condition(particle.text)) sum += std::exp(particle.log_weight);
  return sum / static_cast<double>(result.particles.size());
}

bool starts_with_a(const std::string& text) { return text.starts_with('a'); }

struct Case {
  int world;
  int scheme;
  double threshold;
  ProposalKind proposal;
  int batch_size;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (int world = 0; world < 5; ++world)
    for (const double threshold : {0.0, 0.5, always})
      for (const ProposalKind proposal : {ProposalKind::model, ProposalKind::masked})
        for (const int batch_size : {1, 3})
          for (int scheme = 0; scheme < (threshold == 0.0 ? 1 : 4); ++scheme)
            cases.push_back({world, scheme, threshold, proposal, batch_size});
  return cases;
}

class Target : public testing::TestWithParam<Case> {};

/// Tests 4 and 5: Z-hat and Z-hat * f-hat.
TEST_P(Target, EvidenceAndPosteriorMeanAreUnbiased) {
  const Case& c = GetParam();
  const World world = test::all_worlds()[static_cast<std::size_t>(c.world)];
  Options options = world.options;
  options.particles = 8;
  options.batch_size = c.batch_size;
  options.proposal = c.proposal;
  options.resampling = schemes[c.scheme];
  options.ess_threshold = c.threshold;
  const auto exact = test::Enumeration::texts(world.model, world.potentials, options);
  double exact_a = 0.0;
  for (const auto& [text, weight] : exact)
    if (starts_with_a(text)) exact_a += weight;

  constexpr int runs = 2000;
  Sample z;
  Sample z_a;
  for (int r = 0; r < runs; ++r) {
    options.seed = static_cast<std::uint64_t>(r);
    const RunResult result = run_with(world, options);
    z.add(std::exp(result.log_z));
    z_a.add(weight_on(result, starts_with_a));
  }

  const double z_score = z.z(test::total(exact));
  const double z_a_score = z_a.z(exact_a);
  RecordProperty("z", std::to_string(z_score));
  std::printf("    z(Z) %+.2f  z(Z f) %+.2f  relative error %.3f\n", z_score, z_a_score,
              std::sqrt(z.variance() / runs) / z.mean());
  EXPECT_LT(std::abs(z_score), z_limit);
  EXPECT_LT(std::abs(z_a_score), z_limit);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  const std::string trigger = c.threshold == 0.0 ? "never" : c.threshold == 0.5 ? "half" : "always";
  return test::all_worlds()[static_cast<std::size_t>(c.world)].name + "_" + scheme_names[c.scheme] + "_" + trigger +
         (c.proposal == ProposalKind::model ? "_model" : "_masked") + "_by" + std::to_string(c.batch_size);
}
INSTANTIATE_TEST_SUITE_P(All, Target, testing::ValuesIn(all_cases()), case_name);

/// Test 9: three letters, six of them, every path.
TEST(Posterior, EveryTextHasItsExactWeight) {
  const test::ToyModel letters = test::letters_model();
  const World world{"paths",
                    test::ToyModel({"a", "b", "c", ""}, {test::token(3)},
                                   [&](std::span<const TokenId> tokens) -> std::vector<double> {
                                     if (tokens.size() == 6) return {0.0, 0.0, 0.0, 1.0};
                                     std::vector<double> p = letters.next(tokens);
                                     p[3] = 0.0;
                                     return p;
                                   }),
                    {test::likes_a()},
                    {.particles = 64, .batch_size = 2, .max_tokens = 6}};
  const auto exact = test::Enumeration::texts(world.model, world.potentials, world.options);
  ASSERT_EQ(exact.size(), 729U);
  const double z = test::total(exact);
  constexpr int runs = 1000;

  std::map<std::string, Sample> cells;
  for (const auto& [text, weight] : exact) cells[text];
  for (int r = 0; r < runs; ++r) {
    Options options = world.options;
    options.seed = static_cast<std::uint64_t>(r);
    std::map<std::string, double> found;
    for (const ParticleResult& particle : run_with(world, options).particles)
      found[particle.text] += std::exp(particle.log_weight) / 64.0;
    for (auto& [text, cell] : cells) cell.add(found[text]);
  }

  double largest = 0.0;
  double distance = 0.0;
  int tested = 0;
  for (const auto& [text, weight] : exact) {
    distance += std::abs(cells[text].mean() - weight) / z / 2.0;
    if (weight / z < 1e-3) continue;  // too rare for a normal law
    ++tested;
    largest = std::max(largest, std::abs(cells[text].z(weight)));
  }
  std::printf("    %d cells, largest |z| %.2f, total variation %.4f\n", tested, largest, distance);
  EXPECT_GT(tested, 80);
  EXPECT_LT(largest, 5.4);    // Bonferroni over the cells
  EXPECT_LT(distance, 0.05);  // 0.03 expected
}

/// T2: a finite set of strings as the model, and a critic that does not match it.
TEST(WeightedSet, CriticReweightsTheStrings) {
  const World world{"set",
                    test::ToyModel({"0", "1", ""}, {test::token(2)},
                                   [](std::span<const TokenId> tokens) -> std::vector<double> {
                                     if (tokens.empty()) return {5.0 / 6, 1.0 / 6, 0.0};  // "0", "00": 3 + 2; "1": 1
                                     if (tokens.size() == 1 && tokens[0] == test::token(0)) return {0.4, 0.0, 0.6};
                                     return {0.0, 0.0, 1.0};
                                   }),
                    {std::make_shared<test::TextPotential>(
                        "critic", [](const std::string&) { return 1.0; },
                        [](const std::string& text) { return text == "0"    ? 1.0
                                                             : text == "00" ? 2.0
                                                                            : 3.0; })},
                    {.particles = 500}};
  Sample z;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Options options = world.options;
    options.seed = seed;
    const double estimate = 6.0 * std::exp(run_with(world, options).log_z);
    EXPECT_NEAR(estimate, 10.0, 0.5 + 0.5);
    z.add(estimate);
  }
  EXPECT_LT(std::abs(z.z(10.0)), z_limit);
}

}  // namespace
}  // namespace shoal::smc
