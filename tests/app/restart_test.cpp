// --checkpoint and --resume: what is refused, what may differ, and the script that starts a job again.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "app/long_job.hpp"
#include "lm/cpu/matmul.hpp"
#include "trace/checkpoint.hpp"
#include "trace/trace_reader.hpp"

namespace shoal::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::vector<std::string> coin_job{"generate", "--prompt",     "",  "--particles", "8",      "--max-tokens",
                                        "40",       "--batch-size", "4", "--json",      "--quiet"};

/// Letters a and b, and an end.
class Restart : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> with(const std::vector<std::string>& more) const {
    auto arguments = coin_job;
    arguments.insert(arguments.end(), more.begin(), more.end());
    if (std::find(more.begin(), more.end(), "--model") == more.end())
      arguments.insert(arguments.end(), {"--model", "tabular:" + model_});
    return arguments;
  }
  /// Of a run whose time was up before the first token.
  [[nodiscard]] std::string make_checkpoint(const std::vector<std::string>& more = {}) const {
    auto arguments = with({"--timeout", "0", "--checkpoint", folder_.path("c")});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_shoal(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return folder_.path("c");
  }
  void expect_refused(const std::vector<std::string>& more, int exit_code, const std::string& part,
                      int ranks = 0) const {
    const ProgramResult result = run_shoal(with(more), ranks);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(count(result.err, "shoal: "), 1) << result.err;
    EXPECT_EQ(count(result.err, part), 1) << part << " is not in " << result.err;
    EXPECT_EQ(result.out, "");
  }
  [[nodiscard]] std::string write_model(const std::string& name, const std::string& end) const {
    return folder_.write(name, R"({"tokens": ["a", "b", "</s>"], "end": "</s>", "table": {"": {"a": 0.4, "b": )" +
                                   std::string(end == "0.05" ? "0.55" : "0.5") + R"(, "</s>": )" + end + "}}}");
  }

  TemporaryFolder folder_;
  std::string model_ = write_model("model.json", "0.05");
};

TEST_F(Restart, WhatChangesTheResultIsRefusedByName) {
  const std::string c = make_checkpoint();
  const std::string style =
      folder_.write("s.json", R"({"name": "s", "patterns": [{"pattern": "ab", "log_weight": 0.3}]})");
  const std::string potentials =
      folder_.write("p.json", R"({"potentials": [{"type": "forbidden", "strings": ["aaaa"], "name": "n"}]})");
  const std::vector<std::pair<std::string, std::string>> changes{{"--temperature", "0.5"},
                                                                 {"--top-k", "2"},
                                                                 {"--top-p", "0.9"},
                                                                 {"--min-p", "0.1"},
                                                                 {"--seed", "1"},
                                                                 {"--stop", "ab"},
                                                                 {"--proposal", "masked"},
                                                                 {"--resampling", "residual"},
                                                                 {"--ess-threshold", "0.4"},
                                                                 {"--early-stop", "0.9"},
                                                                 {"--regex", "[ab]*"},
                                                                 {"--style", style},
                                                                 {"--potentials", potentials}};
  for (const auto& [option, value] : changes)
    expect_refused({"--resume", c, option, value}, 2, "cannot resume from '" + c + "' (" + option + " is '");
  expect_refused({"--resume", c, "--system", "x"}, 2, "--system");
}

TEST_F(Restart, AnotherPromptOrModelIsRefused) {
  const std::string c = make_checkpoint();
  auto arguments = with({"--resume", c});
  arguments[2] = "ab";
  const ProgramResult result = run_shoal(arguments, 2);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(count(result.err, "(the prompt is '2 tokens"), 1) << result.err;

  expect_refused({"--resume", c, "--model", "tabular:" + write_model("other.json", "0.1")}, 2,
                 "(the content of --model is '", 3);
}

TEST_F(Restart, AFileOfOtherContentIsRefused) {
  const auto write_style = [&](const std::string& weight) {
    return folder_.write("s.json", R"({"name": "s", "patterns": [{"pattern": "ab", "log_weight": )" + weight + "}]}");
  };
  const std::string style = write_style("0.3");
  const std::string c = make_checkpoint({"--style", style});
  EXPECT_EQ(run_shoal(with({"--resume", c, "--style", style})).exit_code, 0);
  (void)write_style("0.4");
  expect_refused({"--resume", c, "--style", style}, 2, "(the content of " + style + " is '");
}

TEST_F(Restart, WhatDoesNotChangeTheResultMayDiffer) {
  const json whole = comparable(run_shoal(with({})).out);
  const std::string c = make_checkpoint();
  const ProgramResult result =
      run_shoal(with({"--resume", c, "--workers", "2", "--timeout", "1000", "--trace", folder_.path("t.h5"),
                      "--checkpoint", folder_.path("d"), "--checkpoint-interval", "7", "--hang-limit", "0"}),
                3);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(comparable(result.out), whole);
}

TEST_F(Restart, ADamagedCheckpointIsRefusedAndThePreviousOneNamed) {
  const std::string c = make_checkpoint();
  const std::string whole = read_all(c);
  (void)folder_.write("c", whole.substr(0, whole.size() / 2));
  expect_refused({"--resume", c}, 5, "start again without --resume");
  (void)folder_.write("c", whole);
  (void)make_checkpoint();
  ASSERT_TRUE(fs::exists(c + ".prev"));
  std::string flipped = whole;
  flipped[flipped.find("\"identity\"") + 30] ^= 1;
  (void)folder_.write("c", flipped);
  expect_refused({"--resume", c}, 5, "try --resume " + c + ".prev", 2);
  EXPECT_EQ(run_shoal(with({"--resume", c + ".prev"})).exit_code, 0);
  expect_refused({"--resume", folder_.path("missing")}, 5, "no such file");
  expect_refused({"--resume", model_}, 5, "it is no HDF5 file");
}

TEST_F(Restart, BadCombinationsAreRefused) {
  expect_refused({"--checkpoint-interval", "5"}, 2, "--checkpoint-interval without --checkpoint");
  expect_refused({"--checkpoint", "x.h5", "--checkpoint-interval", "-1"}, 2, "bad --checkpoint-interval -1");
  expect_refused({"--checkpoint", "x.h5", "--trace", "x.h5"}, 2, "--trace and --checkpoint are both");
  expect_refused({"--checkpoint", "/nonexistent/c"}, 5, "cannot write checkpoint '/nonexistent/c'");
  expect_refused({"--checkpoint", model_}, 5, "it exists and is no Shoal checkpoint", 2);
  expect_refused({"--hang-limit", "-1"}, 2, "bad --hang-limit -1");
  EXPECT_NE(read_all(model_), "");
}

TEST_F(Restart, ATraceOfAnotherRunIsNotContinued) {
  const std::string t = folder_.path("t.h5");
  const std::string c = make_checkpoint({"--trace", t});
  ASSERT_EQ(run_shoal(with({"--seed", "3", "--trace", folder_.path("other.h5")})).exit_code, 0);
  const std::string other = read_all(folder_.path("other.h5"));
  expect_refused({"--resume", c, "--trace", folder_.path("other.h5")}, 5, "(it is of another run)", 2);
  EXPECT_EQ(read_all(folder_.path("other.h5")), other);

  ASSERT_EQ(run_shoal(with({"--resume", c, "--trace", t})).exit_code, 0);
  const std::string without_trace = make_checkpoint();
  expect_refused({"--resume", without_trace, "--trace", t}, 5, "wrote no trace");
}

TEST_F(Restart, ANewTraceBeginsWhereTheRunGoesOn) {
  const LongJob job(600);
  ASSERT_EQ(run_shoal(job.arguments({"--checkpoint", job.path("c"), "--checkpoint-interval", "0"})).exit_code, 0);
  const auto saved = trace::read_checkpoint(job.path("c")).state.batches;
  ASSERT_EQ(run_shoal(job.arguments({"--resume", job.path("c"), "--trace", job.path("t.h5")})).exit_code, 0);
  const trace::Trace trace = trace::read_trace(job.path("t.h5"));
  ASSERT_FALSE(trace.batches.empty());
  EXPECT_EQ(trace.batches.front().batch, saved);
}

TEST(RestartWithMinnow, RebuiltKeysAndValuesGiveTheSameBits) {
  const TemporaryFolder folder;
  const auto job = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"generate",
                                       "--prompt",
                                       "Tell me about parallel processing.",
                                       "--particles",
                                       "12",
                                       "--batch-size",
                                       "5",
                                       "--max-tokens",
                                       "90",
                                       "--style",
                                       "conversational",
                                       "--ess-threshold",
                                       "0.9",
                                       "--json",
                                       "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const json whole = comparable(run_shoal(job({}), 2).out);
  const std::string c = folder.path("c");
  std::vector<std::string> more{"--checkpoint", c, "--checkpoint-interval", "0"};
  std::string reason = "timeout";
  int starts = 0;
  for (double limit_s = 0.005; reason == "timeout" && starts < 20; ++starts, limit_s *= 2) {
    more.insert(more.end(), {"--timeout", std::to_string(limit_s)});
    const ProgramResult result = run_shoal(job(more), 1 + starts % 3);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    reason = json::parse(result.out)["finish_reason"];
    if (reason != "timeout") {
      EXPECT_EQ(comparable(result.out), whole);
    }
    more = {"--checkpoint", c, "--resume", c};
  }
  EXPECT_NE(reason, "timeout");
  EXPECT_GT(starts, 1);
}

TEST(RestartWithMinnow, AnotherTypeOfKeysAndValuesIsRefused) {
  if (!lm::cpu::has_vnni()) GTEST_SKIP() << "this processor has no VNNI instructions";
  const TemporaryFolder folder;
  const std::string c = folder.path("c");
  const std::vector<std::string> job{"generate", "--prompt", "Hi", "--particles", "4", "--max-tokens", "8", "--json"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = job;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_shoal(arguments);
  };
  ASSERT_EQ(with({"--kv-dtype", "int8", "--timeout", "0", "--checkpoint", c}).exit_code, 0);

  const ProgramResult other = with({"--resume", c});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_EQ(count(other.err, "(--kv-dtype is '"), 1) << other.err;
  const ProgramResult same = with({"--kv-dtype", "int8", "--resume", c});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_EQ(comparable(same.out), comparable(with({"--kv-dtype", "int8"}).out));
}

// ---------------------------------------------------------------------------------------------- the script

class Script : public testing::Test {
 protected:
  ProgramResult run_script(const std::vector<std::string>& options, const std::vector<std::string>& command) {
    std::vector<std::string> words{SHOAL_SOURCE_DIR "/jobs/run_with_restarts.sh"};
    words.insert(words.end(), options.begin(), options.end());
    words.emplace_back("--");
    words.insert(words.end(), command.begin(), command.end());
    RunningProgram program(words, folder_);
    const int code = program.wait(60);
    return {code, read_all(folder_.path("out")), read_all(folder_.path("err"))};
  }
  /// A job that ends with one code after the other; from the second on there is a checkpoint.
  [[nodiscard]] std::vector<std::string> job_of(const std::string& codes) const {
    const std::string script = folder_.write("job.sh", R"job(#!/bin/bash
cd "$(dirname "$0")"
echo "$*" >> starts
codes=(CODES)
code=${codes[$(wc -l < starts) - 1]}
touch c
[ $code -le 128 ] || [ $code = 130 ] || [ $code = 143 ] || kill -s $((code - 128)) $$
exit $code
)job");
    std::string text = read_all(script);
    text.replace(text.find("CODES"), 5, codes);
    (void)folder_.write("job.sh", text);
    fs::remove(folder_.path("starts"));
    fs::remove(folder_.path("c"));
    return {"bash", script, "generate", "--checkpoint", folder_.path("c"), "--quiet"};
  }
  [[nodiscard]] int starts() const { return count(read_all(folder_.path("starts")), "\n"); }

  TemporaryFolder folder_;
};

TEST_F(Script, StartsAgainFromTheCheckpointAfterALostRank) {
  const ProgramResult result = run_script({}, job_of("137 75 1 0"));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(starts(), 4);
  const std::string lines = read_all(folder_.path("starts"));
  EXPECT_EQ(count(lines, "--resume " + folder_.path("c")), 3) << lines;
  EXPECT_EQ(lines.substr(0, lines.find('\n')).find("--resume"), std::string::npos);
  EXPECT_EQ(count(result.err, "run_with_restarts: exit code"), 3) << result.err;
}

TEST_F(Script, PassesEveryOtherExitCodeThrough) {
  for (const int code : {0, 2, 3, 4, 5, 70, 130, 143}) {
    EXPECT_EQ(run_script({}, job_of(std::to_string(code) + " 0")).exit_code, code);
    EXPECT_EQ(starts(), 1) << code;
  }
}

TEST_F(Script, GivesUpAfterSoManyRestarts) {
  const ProgramResult result = run_script({"--max-restarts", "2"}, job_of("137 139 137 0"));
  EXPECT_EQ(result.exit_code, 137);
  EXPECT_EQ(starts(), 3);
  EXPECT_EQ(count(result.err, "gives up after 2 restarts"), 1) << result.err;
}

TEST_F(Script, EndsALauncherThatOutlivesItsRanks) {
  const std::string script = folder_.write("stuck.py", R"(import os, sys, time
checkpoint = sys.argv[sys.argv.index('--checkpoint') + 1]
if os.path.exists(checkpoint):
    sys.exit(0)
open(checkpoint, 'w')
if os.fork() == 0:
    os._exit(9)
time.sleep(1000)
)");
  setenv("SHOAL_STUCK_SECONDS", "1", 1);
  const ProgramResult result = run_script({}, {"python3", script, "--checkpoint", folder_.path("c")});
  unsetenv("SHOAL_STUCK_SECONDS");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(count(result.err, "ends python3 (all that it had started is gone"), 1) << result.err;
}

TEST_F(Script, RefusesWhatItCannotRun) {
  EXPECT_EQ(run_script({"--max-restarts", "many"}, job_of("0")).exit_code, 2);
  EXPECT_EQ(run_script({"--restarts", "1"}, job_of("0")).exit_code, 2);
  EXPECT_EQ(run_script({}, {}).exit_code, 2);
  EXPECT_EQ(run_script({}, {"true"}).exit_code, 2);
}

TEST_F(Script, RestartsARealJobThatLostARankAndPassesSignalsOn) {
  const LongJob job(1500);
  const json whole = comparable(run_shoal(job.arguments()).out);
  std::vector<std::string> words{SHOAL_SOURCE_DIR "/jobs/run_with_restarts.sh", "--max-restarts=1", "--"};
  for (const auto& word : shoal_command(
           job.arguments({"--checkpoint", job.path("c"), "--checkpoint-interval", "0", "--trace", job.path("t.h5")}),
           2))
    words.push_back(word);
  RunningProgram program(words, job.folder());
  for (int i = 0; i < 2000 && !fs::exists(job.path("c")); ++i) (void)program.wait(0.005);
  const auto ranks = program.ranks();
  ASSERT_EQ(ranks.size(), 2U) << read_all(job.path("err"));
  kill(ranks[1], SIGKILL);
  EXPECT_EQ(program.wait(60), 0) << read_all(job.path("err"));
  EXPECT_EQ(count(read_all(job.path("err")), "run_with_restarts: exit code 137, restart 1 of 1"), 1)
      << read_all(job.path("err"));
  EXPECT_EQ(comparable(read_all(job.path("out"))), whole);
  EXPECT_TRUE(trace::read_trace(job.path("t.h5")).result.has_value());
}

TEST_F(Script, EndsTheJobInOrderWhenItIsToldTo) {
  const LongJob endless = LongJob::endless();
  std::vector<std::string> words{SHOAL_SOURCE_DIR "/jobs/run_with_restarts.sh", "--"};
  for (const auto& word :
       shoal_command(endless.arguments({"--checkpoint", endless.path("c"), "--checkpoint-interval", "0.1"}), 2))
    words.push_back(word);
  RunningProgram program(words, endless.folder());
  for (int i = 0; i < 2000 && !fs::exists(endless.path("c")); ++i) (void)program.wait(0.005);
  kill(program.pid(), SIGTERM);
  EXPECT_EQ(program.wait(30), 143) << read_all(endless.path("err"));
  EXPECT_EQ(json::parse(read_all(endless.path("out")))["finish_reason"], "signal");
  EXPECT_NO_THROW(trace::read_checkpoint(endless.path("c")));
}

}  // namespace
}  // namespace shoal::test
