// The main job end to end, on a tabular language whose posterior is known and on the shipped model.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "app/program.hpp"
#include "lm/cpu/matmul.hpp"
#include "trace/trace_reader.hpp"

namespace shoal::test {
namespace {

using nlohmann::json;

/// Letters a and b, each with probability 0.4, end with 0.2.
constexpr const char* coin_language =
    R"({"tokens": ["a", "b", "</s>"], "end": "</s>", "order": 0, "table": {"": {"a": 0.4, "b": 0.4, "</s>": 0.2}}})";

std::vector<std::string> minnow_job(const std::string& particles) {
  return {"generate",
          "--prompt",
          "Tell me about parallel processing.",
          "--particles",
          particles,
          "--batch-size",
          "7",
          "--max-tokens",
          "160",
          "--regex",
          ".*[.!?]",
          "--style",
          "conversational",
          "--json",
          "--quiet"};
}

/// What must be equal for every number of ranks and threads.
json comparable(const ProgramResult& result) {
  json j = json::parse(result.out);
  j.erase("timing");
  j.erase("ranks");
  j.erase("trace");
  return j;
}

TEST(Generate, EstimatesTheProbabilityOfAConstraint) {
  const TemporaryFolder folder;
  const std::string file = folder.write("coin.json", coin_language);

  // P(text in {ab, abb}) = 0.4^2 0.2 + 0.4^3 0.2
  const ProgramResult result = run_shoal({"generate", "--model", "tabular:" + file, "--particles", "4000", "--regex",
                                          "abb?", "--batch-size", "1", "--json", "--quiet"});

  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json j = json::parse(result.out);
  EXPECT_NEAR(std::exp(j["log_z"].get<double>()), 0.16 * 0.2 + 0.064 * 0.2, 0.002);
  ASSERT_EQ(j["posterior"].size(), 2U);
  EXPECT_EQ(j["posterior"][0]["text"], "ab");
  EXPECT_NEAR(j["posterior"][0]["probability"].get<double>(), 0.16 / (0.16 + 0.064), 0.04);
  EXPECT_EQ(j["response"], "ab");
  EXPECT_EQ(j["finish_reason"], "completed");
}

TEST(Generate, JsonHasTheDocumentedKeys) {
  const ProgramResult result = run_shoal(minnow_job("5"));

  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json j = json::parse(result.out);
  for (const char* key :
       {"response", "finish_reason", "log_z", "ess", "particles", "posterior", "timing", "ranks", "seed", "trace"})
    EXPECT_TRUE(j.contains(key)) << key;
  ASSERT_EQ(j["particles"].size(), 5U);
  for (const char* key : {"id", "text", "tokens", "log_weight", "finished"})
    EXPECT_TRUE(j["particles"][0].contains(key)) << key;
  EXPECT_EQ(result.err, "");
}

TEST(Generate, AnswersMatchTheRegex) {
  const ProgramResult result = run_shoal(minnow_job("20"));

  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const auto& particle : json::parse(result.out)["particles"]) {
    if (particle["log_weight"].is_null() || !particle["finished"].get<bool>()) continue;
    const auto text = particle["text"].get<std::string>();
    EXPECT_TRUE(!text.empty() && std::string(".!?").find(text.back()) != std::string::npos &&
                text.find('\n') == std::string::npos)
        << text;
  }
}

TEST(Generate, GivesTheSameBitsOnAnyNumberOfRanksAndThreads) {
  for (const std::string particles : {"13", "3"}) {
    const json reference = comparable(run_shoal(minnow_job(particles)));
    for (const int ranks : {1, 2, 3, 4}) {
      const ProgramResult result = run_shoal(minnow_job(particles), ranks);
      ASSERT_EQ(result.exit_code, 0) << result.err;
      EXPECT_EQ(comparable(result), reference) << particles << " particles, " << ranks << " ranks";
    }
    auto threaded = minnow_job(particles);
    threaded.insert(threaded.end(), {"--workers", "2"});
    EXPECT_EQ(comparable(run_shoal(threaded)), reference) << particles << " particles, two threads";
  }
}

TEST(Generate, GivesTheSameBitsOnAnyNumberOfRanksWithKeysAndValuesInEightBits) {
  if (!lm::cpu::has_vnni()) GTEST_SKIP() << "this processor has no VNNI instructions";
  const auto job = [](const std::vector<std::string>& more) {
    auto arguments = minnow_job("13");
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const json reference = comparable(run_shoal(job({"--kv-dtype", "int8"})));
  EXPECT_NE(comparable(run_shoal(job({}))), reference);
  for (const int ranks : {1, 2, 3, 4}) {
    const ProgramResult result = run_shoal(job({"--kv-dtype", "int8"}), ranks);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(comparable(result), reference) << ranks << " ranks";
  }
  EXPECT_EQ(comparable(run_shoal(job({"--kv-dtype", "int8", "--workers", "2", "--migrate", "tokens"}), 3)), reference);
}

TEST(Generate, WritesTheSameTraceOnAnyNumberOfRanks) {
  const TemporaryFolder folder;
  const std::string language = folder.write("coin.json", coin_language);
  std::vector<smc::BatchRecord> first;
  for (const int ranks : {1, 2, 3, 4, 5, 7, 8}) {
    const std::string file = folder.path("trace.h5");
    const ProgramResult result = run_shoal(
        {"generate", "--model", "tabular:" + language, "--particles", "90", "--batch-size", "2", "--max-tokens", "12",
         "--regex", "a?(ba|bb)*", "--proposal", "model", "--ess-threshold", "0.9", "--trace", file, "--quiet"},
        ranks);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const trace::Trace trace = trace::read_trace(file);
    if (ranks == 1) first = trace.batches;
    ASSERT_EQ(trace.batches.size(), first.size());
    ASSERT_GT(first.size(), 3U);
    for (std::size_t b = 0; b < first.size(); ++b) {
      EXPECT_EQ(trace.batches[b].log_z, first[b].log_z);
      EXPECT_EQ(trace.batches[b].ess, first[b].ess);
      EXPECT_EQ(trace.batches[b].log_weight, first[b].log_weight);
      EXPECT_EQ(trace.batches[b].ancestor, first[b].ancestor);
      EXPECT_EQ(trace.batches[b].token, first[b].token);
      EXPECT_EQ(trace.batches[b].finished, first[b].finished);
      EXPECT_EQ(trace.batches[b].potential, first[b].potential);
    }
  }
}

TEST(Generate, ListsEqualParticlesOnceIfThereAreVeryMany) {
  const TemporaryFolder folder;
  const std::string language = folder.write("coin.json", coin_language);
  std::vector<std::string> job{
      "generate",     "--model", "tabular:" + language, "--max-tokens", "9",      "--regex", "a?(ba|bb)*",
      "--batch-size", "3",       "--particles",         "131073",       "--json", "--quiet"};
  const json alone = comparable(run_shoal(job));
  std::uint64_t particles = 0;
  double probability = 0.0;
  for (const json& history : alone["particles"]) {
    particles += history["count"].get<std::uint64_t>();
    EXPECT_FALSE(history.contains("id"));
  }
  for (const json& entry : alone["posterior"]) probability += entry["probability"].get<double>();
  EXPECT_EQ(particles, 131'073U);
  EXPECT_EQ(alone["unlisted"], 0);
  EXPECT_NEAR(probability, 1.0, 1e-12);

  const std::string file = folder.path("trace.h5");
  job.insert(job.end(), {"--trace", file, "--checkpoint", folder.path("ckpt.h5"), "--checkpoint-interval", "0"});
  EXPECT_EQ(comparable(run_shoal(job, 3)), alone);
  const trace::Trace trace = trace::read_trace(file);
  EXPECT_FALSE(trace.info.lists_particles);
  EXPECT_EQ(trace.batches.back().log_z, alone["log_z"].get<double>());

  job.insert(job.end(), {"--resume", folder.path("ckpt.h5")});
  EXPECT_EQ(comparable(run_shoal(job, 2)), alone);
}

TEST(Generate, LogsEveryRankIfAsked) {
  const TemporaryFolder folder;
  auto job = minnow_job("5");
  job.insert(job.end(), {"--log-file", folder.path("run-{rank}.log"), "--log-level", "debug"});

  const ProgramResult result = run_shoal(job, 2);

  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string first = read_all(folder.path("run-0.log"));
  const std::string second = read_all(folder.path("run-1.log"));
  EXPECT_EQ(count(first, " rank 0 info: ended: "), 1) << first;
  EXPECT_EQ(count(second, " rank 1 info: ended: "), 1) << second;
  EXPECT_GE(count(first, " rank 0 debug: batch "), 2) << first;
  EXPECT_EQ(count(second, "debug"), 0) << second;
  EXPECT_EQ(count(first, "info: shoal generate --"), 1) << first;
}

TEST(Generate, LogsWhatWentWrong) {
  const TemporaryFolder folder;
  const ProgramResult result = run_shoal(
      {"generate", "--prompt", "x", "--model", "/nonexistent/model", "--log-file", folder.path("run.log")}, 2);

  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(count(read_all(folder.path("run.log")), " rank 0 error: "), 1);
  EXPECT_EQ(count(result.err, "shoal: error: "), 1) << result.err;
}

TEST(Generate, ReturnsWhatItHasWhenTimeIsUp) {
  const ProgramResult result = run_shoal(
      {"generate", "--prompt", "Tell me about cats.", "--particles", "4", "--timeout", "0", "--json", "--quiet"}, 2);

  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["finish_reason"], "timeout");
}

TEST(Generate, SaysExtinctAndFallsBackToNothing) {
  const TemporaryFolder folder;
  const std::string file = folder.write("coin.json", coin_language);
  const std::string constraint =
      folder.write("p.json", R"({"potentials": [{"type": "forbidden", "strings": ["a", "b"], "name": "nothing"}]})");

  const ProgramResult result =
      run_shoal({"generate", "--model", "tabular:" + file, "--prompt", "", "--particles", "3", "--regex", "a[ab]*",
                 "--potentials", constraint, "--proposal", "model", "--json", "--quiet"},
                2);

  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_EQ(count(result.err, "extinct"), 1) << result.err;
  const json j = json::parse(result.out);
  EXPECT_EQ(j["finish_reason"], "extinct");
  EXPECT_EQ(j["response"], "");
}

TEST(Generate, PrintsTheAnswerAndATable) {
  const TemporaryFolder folder;

  const ProgramResult result = run_shoal({"generate", "--prompt", "Tell me about parallel processing.", "--particles",
                                          "8", "--trace", folder.path("t.h5")},
                                         2);

  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"ESS", "log Z-hat", "moved particles", "particle-tokens/s", "ended", "t.h5"})
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("tokens"), std::string::npos) << result.err;
}

TEST(Generate, ReadsAJobFileAndTheCommandLineWins) {
  const TemporaryFolder folder;
  const std::string job =
      folder.write("job.cfg", "prompt = hello\nparticles = 7\nseed = 5\nmax-tokens = 8\njson = true\nquiet = true\n");

  const json j = json::parse(run_shoal({"generate", "--config", job, "--particles", "2"}).out);

  EXPECT_EQ(j["particles"].size(), 2U);
  EXPECT_EQ(j["seed"], 5);
}

TEST(Agent, AcceptsTheGuidesCommandLineWordForWord) {
  const std::vector<std::string> guide{"agent",
                                       "--model-type",
                                       "huggingface",
                                       "--model-size",
                                       "small_context",
                                       "--use-cache",
                                       "--use-monte-carlo",
                                       "--use-parallel-monte-carlo",
                                       "--monte-carlo-workers",
                                       "4",
                                       "--monte-carlo-particles",
                                       "100",
                                       "--agent",
                                       "conversational"};

  const ProgramResult result = run_shoal(guide, 0, "", "HF_HUB_CACHE=/nonexistent");

  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("download Qwen/Qwen1.5-0.5B-Chat"), std::string::npos) << result.err;
}

TEST(Agent, ConversesAndCaches) {
  const std::vector<std::string> arguments{
      "agent", "--use-monte-carlo", "--use-cache", "--particles", "4", "--max-tokens", "24", "--json", "--quiet"};

  const ProgramResult result = run_shoal(arguments, 2, "hello\n/clear\nhello\nTell me more.\n");

  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  std::vector<json> answers;
  for (std::string line; std::getline(lines, line);) answers.push_back(json::parse(line));
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_FALSE(answers[0]["cached"]);
  EXPECT_TRUE(answers[1]["cached"]);
  EXPECT_EQ(answers[1]["response"], answers[0]["response"]);
  EXPECT_FALSE(answers[2]["cached"]);
}

TEST(ScoreAndTokenize, AgreeOnIdsAndRoundTrip) {
  const std::string text = "Parallel processing is useful.";

  const json tokens = json::parse(run_shoal({"tokenize", "--text", text, "--json"}).out);
  const json scored = json::parse(run_shoal({"score", "--text", text, "--json"}).out);

  EXPECT_EQ(tokens["ids"], scored["ids"]);
  EXPECT_EQ(tokens["pieces"], scored["pieces"]);
  EXPECT_TRUE(scored["logprobs"][0].is_null());
  double total = 0;
  std::string ids;
  for (std::size_t i = 0; i < scored["ids"].size(); ++i) {
    if (i > 0) total += scored["logprobs"][i].get<double>();
    ids += (i > 0 ? "," : "") + scored["ids"][i].dump();
  }
  EXPECT_NEAR(total, scored["total"].get<double>(), 1e-9);
  EXPECT_EQ(json::parse(run_shoal({"tokenize", "--decode", ids, "--json"}).out)["text"], text);
}

TEST(Info, DescribesProgramAndModel) {
  const json j = json::parse(run_shoal({"info", "--model", "minnow", "--json"}, 2).out);

  EXPECT_EQ(j["ranks"], 2);
  EXPECT_EQ(j["model"]["architecture"], "LlamaForCausalLM");
  EXPECT_GT(j["model"]["parameters"].get<std::uint64_t>(), 1000000U);
}

}  // namespace
}  // namespace shoal::test
