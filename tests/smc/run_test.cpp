#include "smc/run.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <mutex>
#include <set>

#include "base/rng.hpp"
#include "base/signals.hpp"
#include "shoal/error.hpp"
#include "smc/exact.hpp"
#include "smc/thread_cluster.hpp"
#include "smc/toy_worlds.hpp"

namespace shoal::smc {
namespace {

using test::token;
using test::World;
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double always = 2.0;
constexpr double never = 0.0;

struct Recorder final : Observer {
  void on_batch(const BatchRecord& record) override { batches.push_back(record); }
  void on_token(int tokens_done) override { token_steps.push_back(tokens_done); }
  std::vector<BatchRecord> batches;
  std::vector<int> token_steps;
};

RunResult run_alone(const World& world, Observer* observer = nullptr) {
  SingleProcess alone;
  return run(world.model, {}, world.potentials, world.options, alone, observer);
}

/// One process whose deadline passes after @p tokens tokens.
RunResult run_until(const World& world, int tokens, Observer* observer = nullptr) {
  const auto outcomes = test::run_on_ranks({tokens}, [&](Transport& transport) {
    return run(world.model, {}, world.potentials, world.options, transport, observer);
  });
  EXPECT_EQ(outcomes[0].message(), "");
  return outcomes[0].result;
}

std::string error_of(const World& world) {
  try {
    run_alone(world);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

double log_mean(std::span<const double> log_weights) {
  double sum = 0.0;
  for (const double lw : log_weights) sum += std::exp(lw);
  return std::log(sum / static_cast<double>(log_weights.size()));
}

std::vector<double> log_weights_of(const RunResult& result) {
  std::vector<double> log_weights;
  for (const ParticleResult& particle : result.particles) log_weights.push_back(particle.log_weight);
  return log_weights;
}

PotentialPtr potential_of(std::string name, test::TextPotential::Score score, Cost cost = Cost::cheap) {
  return std::make_shared<test::TextPotential>(std::move(name), score, score, cost);
}

PotentialPtr at_most(std::size_t letters, Cost cost = Cost::cheap) {
  return potential_of(
      "at_most", [letters](const std::string& text) { return text.size() <= letters ? 1.0 : 0.0; }, cost);
}

void expect_same_particles(const RunResult& a, const RunResult& b) {
  ASSERT_EQ(a.particles.size(), b.particles.size());
  for (std::size_t i = 0; i < a.particles.size(); ++i) {
    EXPECT_EQ(a.particles[i].text, b.particles[i].text) << i;
    EXPECT_EQ(a.particles[i].tokens, b.particles[i].tokens) << i;
    EXPECT_EQ(a.particles[i].log_weight, b.particles[i].log_weight) << i;
    EXPECT_EQ(a.particles[i].finished, b.particles[i].finished) << i;
  }
}

void expect_same_answer(const RunResult& a, const RunResult& b) {
  expect_same_particles(a, b);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_EQ(a.log_z, b.log_z);
  EXPECT_EQ(a.ess, b.ess);
  EXPECT_EQ(a.batches, b.batches);
  EXPECT_EQ(a.token_steps, b.token_steps);
  EXPECT_EQ(a.particle_tokens, b.particle_tokens);
  EXPECT_EQ(a.response, b.response);
}

// ---------------------------------------------------------------------------------------------- ends of a run

TEST(Run, EndsAsCompletedWhenAllParticlesHaveEnded) {
  World world = test::letters_world();
  world.options.max_tokens = 100;
  const RunResult result = run_alone(world);
  EXPECT_EQ(result.reason, FinishReason::completed);
  for (const ParticleResult& particle : result.particles) EXPECT_EQ(particle.finished, particle.log_weight > -inf);
}

TEST(Run, SaysMaxTokensIfAParticleWasForcedToEnd) {
  const RunResult result = run_alone(test::letters_world());
  EXPECT_EQ(result.reason, FinishReason::max_tokens);
  EXPECT_EQ(result.token_steps, 5);  // the end of sequence takes a step of its own
  for (const ParticleResult& particle : result.particles) EXPECT_LE(particle.tokens.size(), 4U);
}

TEST(Run, TimeoutBeforeTheFirstTokenReturnsTheEmptyTexts) {
  const World world = test::letters_world();
  Recorder recorder;
  const RunResult result = run_until(world, 0, &recorder);
  EXPECT_EQ(result.reason, FinishReason::timeout);
  EXPECT_EQ(result.batches, 0U);
  EXPECT_EQ(result.token_steps, 0);
  EXPECT_EQ(result.log_z, 0.0);
  EXPECT_DOUBLE_EQ(result.ess, 50.0);
  EXPECT_TRUE(recorder.batches.empty());
  ASSERT_EQ(result.particles.size(), 50U);
  EXPECT_EQ(result.particles[7].text, "");
  EXPECT_FALSE(result.particles[7].finished);
}

TEST(Run, TimeoutKeepsEveryTokenMadeBefore) {
  World world = test::letters_world();
  world.options.batch_size = 3;
  world.options.max_tokens = 20;
  Recorder recorder;
  const RunResult result = run_until(world, 5, &recorder);
  EXPECT_EQ(result.reason, FinishReason::timeout);
  EXPECT_EQ(result.token_steps, 5);
  EXPECT_EQ(recorder.token_steps, (std::vector<int>{1, 2, 3, 4, 5}));
  ASSERT_EQ(recorder.batches.size(), 2U);
  EXPECT_EQ(recorder.batches[1].tokens, 2);
  EXPECT_FALSE(recorder.batches[1].resampled);
}

TEST(Run, SingleProcessTimesOut) {
  World world = test::letters_world();
  world.potentials = {potential_of("slow", [](const std::string&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return 1.0;
  })};
  world.options.max_tokens = 1000;
  world.options.particles = 4;
  SingleProcess brief(1e-3);
  EXPECT_EQ(run(world.model, {}, world.potentials, world.options, brief).reason, FinishReason::timeout);
}

TEST(Run, StopsEarlyOnceTheFinishedShareIsReached) {
  World world = test::letters_world();
  world.options = {.particles = 200, .batch_size = 1, .max_tokens = 60, .early_stop = 0.3};
  Recorder recorder;
  const RunResult result = run_alone(world, &recorder);
  EXPECT_EQ(result.reason, FinishReason::early_stop);
  const auto share = [](const BatchRecord& record) {
    double finished = 0.0;
    for (std::size_t i = 0; i < record.finished.size(); ++i)
      if (record.finished[i] != 0) finished += std::exp(record.log_weight[i] - record.log_z) / 200.0;
    return finished;
  };
  for (std::size_t b = 0; b + 1 < recorder.batches.size(); ++b) EXPECT_LT(share(recorder.batches[b]), 0.3);
  EXPECT_GE(share(recorder.batches.back()), 0.3);
}

TEST(Run, SignalEndsTheRunAfterTheToken) {
  const test::ToyModel model({"a", ""}, {token(1)}, [](std::span<const TokenId> tokens) -> std::vector<double> {
    if (tokens.size() == 2) std::raise(SIGTERM);
    return {1.0, 0.0};
  });
  const ScopedSignals signals;
  const RunResult result = run_alone({"signal", model, {}, {.particles = 3}});
  EXPECT_EQ(result.reason, FinishReason::signal);
  EXPECT_EQ(result.signal, SIGTERM);
  EXPECT_EQ(result.token_steps, 3);
}

TEST(Run, ExtinctionNamesThePotential) {
  for (const Cost cost : {Cost::cheap, Cost::expensive}) {
    for (const int batch_size : {1, 2, 5}) {
      const test::ToyModel endless({"a", "b"}, {}, [](std::span<const TokenId>) { return std::vector{1.0, 2.0}; });
      const World world{"extinct",
                        endless,
                        {test::likes_a(), at_most(3, cost)},
                        {.particles = 20, .batch_size = batch_size, .max_tokens = 50}};
      const RunResult result = run_alone(world);
      EXPECT_EQ(result.reason, FinishReason::extinct);
      EXPECT_EQ(result.extinct_by, "at_most");
      EXPECT_EQ(result.batches,
                static_cast<std::uint32_t>(4 + batch_size - 1) / static_cast<std::uint32_t>(batch_size));
      EXPECT_EQ(result.log_z, -inf);
      EXPECT_EQ(result.ess, 0.0);
      EXPECT_TRUE(result.posterior.empty());
      EXPECT_EQ(result.response, "");
      for (const ParticleResult& particle : result.particles) EXPECT_FALSE(particle.finished);
    }
  }
}

TEST(Run, ExtinctionByAMaskNamesThePotential) {
  const auto prefix = [](const std::string& text) { return text.size() <= 2 ? 1.0 : 0.0; };
  const auto masked =
      std::make_shared<test::MaskedTextPotential>("masked", prefix, [](const std::string&) { return 0.0; });
  const RunResult result = run_alone({"extinct", test::letters_model(), {test::likes_a(), masked}, {}});
  EXPECT_EQ(result.reason, FinishReason::extinct);
  EXPECT_EQ(result.extinct_by, "masked");
}

TEST(Run, ExtinctionByTheModelSaysSo) {
  const test::ToyModel endless({"a"}, {}, [](std::span<const TokenId>) { return std::vector{1.0}; });
  const RunResult result = run_alone({"endless", endless, {test::likes_a()}, {.max_tokens = 3}});
  EXPECT_EQ(result.reason, FinishReason::extinct);
  EXPECT_EQ(result.extinct_by, "model");
}

// ---------------------------------------------------------------------------------------------- bad input

TEST(Run, PotentialOfZeroOnTheEmptyTextIsAUsageError) {
  World world = test::letters_world();
  world.potentials.push_back(potential_of("impossible", [](const std::string&) { return 0.0; }));
  EXPECT_THROW(run_alone(world), UsageError);
  EXPECT_NE(error_of(world).find("'impossible' is zero on the empty text"), std::string::npos);
}

TEST(Run, NanFromAPotentialNamesTheParticle) {
  World world = test::letters_world();
  world.options = {.particles = 30, .batch_size = 1, .max_tokens = 1};
  world.potentials = {};
  std::size_t last = 0;
  const RunResult plain = run_alone(world);
  for (std::size_t i = 0; i < 30; ++i)
    if (plain.particles[i].text == "b") last = i;
  for (const double bad : {std::nan(""), inf}) {
    for (const Cost cost : {Cost::cheap, Cost::expensive}) {
      world.potentials = {potential_of(
          "odd", [bad](const std::string& text) { return text == "b" ? bad : 1.0; }, cost)};
      EXPECT_NE(error_of(world).find("particle " + std::to_string(last) + " has a weight of NaN"), std::string::npos)
          << error_of(world);
    }
  }
}

TEST(Run, NanFromTheModelIsAnErrorNotAnExtinction) {
  for (const bool whole_row : {false, true}) {
    const double nan = std::nan("");
    const World world{"nan",
                      test::ToyModel({"a", "b", ""}, {token(2)},
                                     [=](std::span<const TokenId>) -> std::vector<double> {
                                       return {nan, whole_row ? nan : 1.0, whole_row ? nan : 1.0};
                                     }),
                      {},
                      {}};
    EXPECT_NE(error_of(world).find("particle 49 has a weight of NaN"), std::string::npos) << error_of(world);
  }
}

TEST(Run, RankThatFailsEndsTheRunOnAll) {
  World world = test::letters_world();
  world.options = {.particles = 12, .batch_size = 2, .max_tokens = 9, .early_stop = 0.99};
  std::mutex mutex;
  std::set<std::thread::id> seen;
  world.potentials = {potential_of("breaks", [&](const std::string& text) -> double {
    const std::scoped_lock lock(mutex);
    if (text.size() == 3 && seen.insert(std::this_thread::get_id()).second && seen.size() == 1)
      throw std::runtime_error("broken");
    return 1.0;
  })};
  const auto outcomes =
      test::run_on_ranks({test::no_deadline, test::no_deadline, test::no_deadline},
                         [&](Transport& t) { return run(world.model, {}, world.potentials, world.options, t); });
  int broken = 0;
  for (const auto& outcome : outcomes) {
    if (outcome.message() == "broken")
      ++broken;
    else
      EXPECT_NE(outcome.message().find("failed (the run needs every rank)"), std::string::npos) << outcome.message();
  }
  EXPECT_EQ(broken, 1);
}

/// An observer that throws at a given batch, like a trace on a full disk.
struct FullDisk final : Observer {
  explicit FullDisk(std::uint32_t batch) : full_at(batch) {}
  void on_batch(const BatchRecord& record) override {
    if (record.batch == full_at) throw IoError("disk full");
  }
  std::uint32_t full_at;
};

TEST(Run, ObserverThatFailsEndsTheRunOnAllRanks) {
  World world = test::letters_world();
  world.options.batch_size = 1;
  for (const std::uint32_t batch : {0U, 2U, 4U}) {  // 4 is the last
    const auto outcomes = test::run_on_ranks({test::no_deadline, test::no_deadline}, [&](Transport& t) {
      FullDisk disk(batch);
      return run(world.model, {}, world.potentials, world.options, t, t.rank() == Rank{0} ? &disk : nullptr);
    });
    EXPECT_EQ(outcomes[0].message(), "disk full");
    EXPECT_NE(outcomes[1].message().find("rank 0 failed"), std::string::npos) << outcomes[1].message();
  }
}

// ---------------------------------------------------------------------------------------------- weights

double log_complete(const World& world, const std::string& text) {
  double sum = 0.0;
  for (const auto& potential : world.potentials) sum += potential->log_complete(text);
  return sum;
}

/// T6: with the model as proposal and no truncation, p/q is 1 except for a forced end.
TEST(Run, LogWeightIsThePotentialsOfTheTextAndTheForcedEnd) {
  for (World world : test::all_worlds()) {
    for (const int batch_size : {1, 2, 10}) {
      world.options.proposal = ProposalKind::model;
      world.options.temperature = 1.0;
      world.options.top_k = 0;
      world.options.top_p = 1.0;
      world.options.min_p = 0.0;
      world.options.ess_threshold = never;
      world.options.batch_size = batch_size;
      const RunResult result = run_alone(world);
      int alive = 0;
      for (const ParticleResult& particle : result.particles) {
        if (!particle.finished) {
          EXPECT_EQ(particle.log_weight, -inf);
          continue;
        }
        ++alive;
        const bool forced = static_cast<int>(particle.tokens.size()) == world.options.max_tokens &&
                            world.model.decode(particle.tokens) == particle.text;
        const double end = forced ? std::log(test::exact_row(world.model, particle.tokens, 1.0).back()) : 0.0;
        EXPECT_NEAR(particle.log_weight, log_complete(world, particle.text) + end, 2e-6) << particle.text;
      }
      EXPECT_GT(alive, 0);
      EXPECT_NEAR(log_mean(log_weights_of(result)), result.log_z, 1e-12);
    }
  }
}

/// T6 with masks: the weight is the product of the allowed masses and the potentials.
TEST(Run, LogWeightIsTheAllowedMassTimesThePotentials) {
  World world = test::letters_world();
  world.options.ess_threshold = never;
  for (const ParticleResult& particle : run_alone(world).particles) {
    if (!particle.finished) continue;
    double expected = log_complete(world, particle.text);
    std::vector<TokenId> before;
    for (std::size_t t = 0; t <= particle.tokens.size(); ++t) {
      const std::vector<double> row = test::exact_row(world.model, before, 1.0);
      double mass = particle.text.empty() || world.potentials[1]->log_complete(world.model.decode(before)) > -inf
                        ? row.back()
                        : 0.0;
      for (int v = 0; v < 3; ++v)
        if (before.empty() || before.back() != token(v)) mass += row[static_cast<std::size_t>(v)];
      if (t == 4) mass = row.back();
      expected += std::log(mass);
      if (t < particle.tokens.size()) before.push_back(particle.tokens[t]);
    }
    EXPECT_NEAR(particle.log_weight, expected, 2e-6) << particle.text;
  }
}

/// T1: where every allowed text of the model has the same allowed mass at each token, all weights are exactly Z.
TEST(Run, EveryParticleHasWeightZIfTheMasksAreAllThatMatters) {
  const test::ToyModel model({"a", "b", "c", ""}, {token(3)}, [](std::span<const TokenId> tokens) {
    return tokens.size() < 4 ? std::vector{0.125, 0.375, 0.25, 0.25} : std::vector{0.0, 0.0, 0.0, 1.0};
  });
  const auto only_ab = [](const std::string& text) {
    return text.find('c') == text.npos && text.size() <= 4 ? 1.0 : 0.0;
  };
  const auto oracle = std::make_shared<test::MaskedTextPotential>(
      "four of a, b", only_ab, [=](const std::string& text) { return text.size() == 4 ? 3.0 * only_ab(text) : 0.0; });
  std::optional<double> log_z;
  for (const Resampling scheme :
       {Resampling::multinomial, Resampling::stratified, Resampling::systematic, Resampling::residual}) {
    for (const double threshold : {never, 0.5, always}) {
      for (const int particles : {1, 7, 64}) {
        const RunResult result = run_alone({"oracle",
                                            model,
                                            {oracle},
                                            {.particles = particles,
                                             .batch_size = 2,
                                             .resampling = scheme,
                                             .ess_threshold = threshold,
                                             .seed = static_cast<std::uint64_t>(particles)}});
        EXPECT_NEAR(result.log_z, std::log(3.0 / 16.0), 1e-7);  // logits are floats
        if (!log_z) log_z = result.log_z;
        EXPECT_NEAR(result.log_z, *log_z, 2e-15);
        EXPECT_DOUBLE_EQ(result.ess, particles);
      }
    }
  }
}

TEST(Run, WeightOfTheEmptyTextCounts) {
  World world = test::letters_world();
  world.potentials = {potential_of("constant", [](const std::string&) { return 5.0; })};
  world.options = {.particles = 10, .max_tokens = 200, .ess_threshold = always};
  EXPECT_NEAR(run_alone(world).log_z, std::log(5.0), 1e-12);
}

// ---------------------------------------------------------------------------------------------- order of things

TEST(Run, FinishedParticlesStayAndAreAncestors) {
  World world = test::letters_world();
  world.options = {.particles = 40,
                   .batch_size = 1,
                   .max_tokens = 12,
                   .resampling = Resampling::multinomial,
                   .ess_threshold = always};
  Recorder recorder;
  run_alone(world, &recorder);
  int finished_parents_of_several = 0;
  for (std::size_t b = 0; b + 1 < recorder.batches.size(); ++b) {
    const BatchRecord& now = recorder.batches[b];
    const BatchRecord& next = recorder.batches[b + 1];
    std::map<std::uint32_t, int> children;
    for (std::size_t i = 0; i < 40; ++i) {
      const std::uint32_t parent = now.ancestor[i];
      if (now.finished[parent] == 0) continue;
      if (++children[parent] == 2) ++finished_parents_of_several;
      EXPECT_EQ(next.finished[i], 1);
      EXPECT_EQ(next.token[i], -1);
      EXPECT_EQ(next.log_weight[i], now.log_z);
    }
  }
  EXPECT_GT(finished_parents_of_several, 5);
}

TEST(Run, TokensDoNotDependOnTheBatchSizeWithoutResampling) {
  for (World world : test::all_worlds()) {
    world.options.ess_threshold = never;
    world.options.batch_size = 1;
    const RunResult by_one = run_alone(world);
    for (const int batch_size : {2, 5, 10}) {
      world.options.batch_size = batch_size;
      const RunResult by_several = run_alone(world);
      for (std::size_t i = 0; i < by_one.particles.size(); ++i) {
        if (by_one.particles[i].log_weight == -inf) continue;  // may die later in a longer batch
        EXPECT_EQ(by_several.particles[i].tokens, by_one.particles[i].tokens);
        EXPECT_EQ(by_several.particles[i].text, by_one.particles[i].text);
        EXPECT_NEAR(by_several.particles[i].log_weight, by_one.particles[i].log_weight, 1e-12);
      }
      EXPECT_NEAR(by_several.log_z, by_one.log_z, 1e-12);
    }
  }
}

TEST(Run, SeedsGiveDifferentTokens) {
  World world = test::letters_world();
  const RunResult one = run_alone(world);
  world.options.seed = 1;
  EXPECT_NE(run_alone(world).log_z, one.log_z);
}

TEST(Run, EveryDistinctContextIsForwardedOnce) {
  std::map<std::vector<int>, int> forwards;
  const test::ToyModel letters = test::letters_model();
  const test::ToyModel counting({"a", "b", "c", ""}, {token(3)}, [&](std::span<const TokenId> tokens) {
    std::vector<int> ids;
    for (const TokenId id : tokens) ids.push_back(id.value());
    ++forwards[ids];
    return letters.next(tokens);
  });
  Recorder recorder;
  World world{"counting", counting, {test::likes_a()}, {.particles = 100, .batch_size = 1, .max_tokens = 5}};
  const RunResult result = run_alone(world, &recorder);
  std::map<std::size_t, std::uint64_t> by_length;
  for (const auto& [ids, times] : forwards) {
    EXPECT_EQ(times, 1);
    ++by_length[ids.size()];
  }
  EXPECT_EQ(by_length[0], 1U);
  for (const BatchRecord& record : recorder.batches) EXPECT_EQ(record.unique_contexts, by_length[record.batch]);
  EXPECT_LT(forwards.size(), result.particle_tokens);
}

/// Follows every particle from the first batch to the last through the ancestors.
std::vector<std::vector<TokenId>> tokens_along_ancestry(const std::vector<BatchRecord>& batches, std::size_t n,
                                                        std::size_t batch_size, std::span<const TokenId> end) {
  std::vector<std::vector<TokenId>> tokens(n);
  for (const BatchRecord& record : batches) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t t = 0; t < batch_size; ++t) {
        const TokenId id{record.token[i * batch_size + t]};
        if (id.value() >= 0 && std::find(end.begin(), end.end(), id) == end.end()) tokens[i].push_back(id);
      }
    }
    std::vector<std::vector<TokenId>> children;
    for (const std::uint32_t parent : record.ancestor) children.push_back(tokens[parent]);
    tokens = std::move(children);
  }
  return tokens;
}

TEST(Run, RecordsTellTheWholeStory) {
  for (World world : test::all_worlds()) {
    for (const double threshold : {never, 0.7, always}) {
      world.options.batch_size = 2;
      world.options.ess_threshold = threshold;
      Recorder recorder;
      const RunResult result = run_alone(world, &recorder);
      ASSERT_EQ(recorder.batches.size(), result.batches);
      int steps = 0;
      for (const BatchRecord& record : recorder.batches) {
        steps += record.tokens;
        EXPECT_NEAR(log_mean(record.log_weight), record.log_z, 1e-12);
        EXPECT_EQ(record.batch, static_cast<std::uint32_t>(&record - recorder.batches.data()));
        const bool last = &record == &recorder.batches.back();
        const bool expected = !last && record.ess < threshold * 50.0;
        EXPECT_EQ(record.resampled, expected);
        for (std::uint32_t i = 0; i < 50 && !record.resampled; ++i) EXPECT_EQ(record.ancestor[i], i);
        EXPECT_TRUE(std::is_sorted(record.ancestor.begin(), record.ancestor.end()));
        for (std::uint32_t i = 0; i < 50 && record.resampled; ++i)
          EXPECT_GT(record.log_weight[record.ancestor[i]], -inf);
      }
      EXPECT_EQ(steps, result.token_steps);
      EXPECT_EQ(recorder.batches.back().log_z, result.log_z);
      EXPECT_EQ(recorder.batches.back().log_weight, log_weights_of(result));
      const auto tokens = tokens_along_ancestry(recorder.batches, 50, 2, world.model.vocabulary().end_tokens());
      for (std::size_t i = 0; i < 50; ++i) {
        EXPECT_EQ(tokens[i], result.particles[i].tokens);
        for (std::size_t k = 0; k < world.potentials.size() && result.particles[i].finished; ++k)
          EXPECT_NEAR(recorder.batches.back().potential[k * 50 + i],
                      world.potentials[k]->log_complete(result.particles[i].text), 1e-12);
      }
    }
  }
}

TEST(Run, PosteriorAddsUpTheWeightsOfEqualTexts) {
  World world = test::letters_world();
  const RunResult result = run_alone(world);
  std::map<std::string, double> expected;
  for (const ParticleResult& p : result.particles) expected[p.text] += std::exp(p.log_weight - result.log_z) / 50.0;
  double total = 0.0;
  for (std::size_t i = 0; i < result.posterior.size(); ++i) {
    EXPECT_NEAR(result.posterior[i].probability, expected[result.posterior[i].text], 1e-12);
    total += result.posterior[i].probability;
    if (i > 0) {
      EXPECT_GE(result.posterior[i - 1].probability, result.posterior[i].probability);
    }
  }
  EXPECT_NEAR(total, 1.0, 1e-12);
  EXPECT_EQ(result.response, result.posterior.front().text);
}

TEST(Run, ResponsePrefersFinishedTexts) {
  World world = test::letters_world();
  world.options.particles = 100;
  world.potentials = {};
  const RunResult result = run_until(world, 1);
  ASSERT_EQ(result.reason, FinishReason::timeout);
  EXPECT_EQ(result.response, "");  // the only finished text; unfinished a, b and c hold more weight
  EXPECT_NE(result.posterior.front().text, "");
}

// ---------------------------------------------------------------------------------------------- several ranks

TEST(Run, SameAnswerOnAnyNumberOfRanks) {
  for (World world : test::all_worlds()) {
    for (const double threshold : {0.5, always}) {
      world.options.particles = 13;
      world.options.batch_size = 2;
      world.options.ess_threshold = threshold;
      Recorder alone;
      const RunResult expected = run_alone(world, &alone);
      for (const std::size_t ranks : {2U, 3U, 5U, 16U}) {
        world.options.migrate = ranks == 3U ? Migrate::tokens : Migrate::key_values;
        const int delay = ranks == 5U ? 1 : 0;
        Recorder several;
        const auto outcomes = test::run_on_ranks(
            std::vector<int>(ranks, test::no_deadline),
            [&](Transport& transport) {
              Observer* observer = transport.rank() == Rank{0} ? &several : nullptr;
              return run(world.model, {}, world.potentials, world.options, transport, observer);
            },
            delay);
        for (const auto& outcome : outcomes) ASSERT_EQ(outcome.message(), "");
        expect_same_answer(outcomes[0].result, expected);
        for (const auto& outcome : outcomes) EXPECT_EQ(outcome.result.log_z, expected.log_z);
        ASSERT_EQ(several.batches.size(), alone.batches.size());
        for (std::size_t b = 0; b < alone.batches.size(); ++b) {
          EXPECT_EQ(several.batches[b].log_weight, alone.batches[b].log_weight);
          EXPECT_EQ(several.batches[b].ancestor, alone.batches[b].ancestor);
          EXPECT_EQ(several.batches[b].token, alone.batches[b].token);
          EXPECT_EQ(several.batches[b].finished, alone.batches[b].finished);
          EXPECT_EQ(several.batches[b].potential, alone.batches[b].potential);
        }
      }
    }
  }
}

/// One rank stops at token @p tokens, the others go on to the end of the batch: all must go back.
TEST(Run, CutBatchEqualsARunThatStoppedThere) {
  for (World world : test::all_worlds()) {
    for (const double threshold : {never, always}) {
      for (const int tokens : {0, 1, 2, 3}) {
        world.options.batch_size = 10;
        world.options.ess_threshold = threshold;
        Recorder expected_records;
        const RunResult expected = run_until(world, tokens, &expected_records);
        Recorder records;
        const auto outcomes =
            test::run_on_ranks({test::no_deadline, tokens, test::no_deadline}, [&](Transport& transport) {
              Observer* observer = transport.rank() == Rank{0} ? &records : nullptr;
              return run(world.model, {}, world.potentials, world.options, transport, observer);
            });
        for (const auto& outcome : outcomes) {
          ASSERT_EQ(outcome.message(), "");
          EXPECT_EQ(outcome.result.reason, FinishReason::timeout);
          EXPECT_EQ(outcome.result.token_steps, tokens);
        }
        expect_same_particles(outcomes[0].result, expected);
        EXPECT_EQ(outcomes[0].result.log_z, expected.log_z);
        ASSERT_EQ(records.batches.size(), expected_records.batches.size());
        for (std::size_t b = 0; b < records.batches.size(); ++b) {
          EXPECT_EQ(records.batches[b].tokens, expected_records.batches[b].tokens);
          EXPECT_EQ(records.batches[b].token, expected_records.batches[b].token);
          EXPECT_EQ(records.batches[b].potential, expected_records.batches[b].potential);
          EXPECT_EQ(records.batches[b].finished, expected_records.batches[b].finished);
          EXPECT_EQ(records.batches[b].log_weight, expected_records.batches[b].log_weight);
        }
      }
    }
  }
}

/// The cut lies in a later batch, after migrations.
TEST(Run, CutOfALaterBatchEqualsARunThatStoppedThere) {
  World world = test::letters_world();
  world.potentials = {potential_of("long", [](const std::string& text) { return std::exp(0.2 * text.size()); })};
  world.options = {.particles = 200, .batch_size = 3, .max_tokens = 12, .ess_threshold = always};
  for (const int tokens : {4, 5, 7}) {
    const RunResult expected = run_until(world, tokens);
    const auto outcomes = test::run_on_ranks({tokens, test::no_deadline}, [&](Transport& transport) {
      return run(world.model, {}, world.potentials, world.options, transport);
    });
    EXPECT_EQ(outcomes[0].result.token_steps, tokens);
    expect_same_particles(outcomes[0].result, expected);
  }
}

}  // namespace
}  // namespace shoal::smc
