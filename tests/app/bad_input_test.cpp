// Every mistake of a user: one clear line, the right exit code, no hang, no file left behind.
#include <gtest/gtest.h>

#include <filesystem>

#include "app/program.hpp"

namespace shoal::test {
namespace {

struct Mistake {
  std::vector<std::string> arguments;
  int exit_code;
  std::string message;  ///< part of the line
};

std::ostream& operator<<(std::ostream& out, const Mistake& m) {
  for (const auto& a : m.arguments) out << a << ' ';
  return out;
}

const std::vector<Mistake>& mistakes() {
  static const std::vector<Mistake> list{
      {{"frobnicate"}, 2, "unknown subcommand 'frobnicate'"},
      {{"generate"}, 2, "no prompt"},
      {{"generate", "--prompt", "x", "--log-level", "loud"}, 2, "bad --log-level 'loud'"},
      {{"generate", "--prompt", "x", "--log-file", "/nonexistent/run.log"}, 5, "cannot write log-file"},
      {{"sweep"}, 2, "no job file"},
      {{"sweep", "--config", "/nonexistent/sweep.cfg"}, 2, "cannot read '/nonexistent/sweep.cfg'"},
      {{"sweep", "--config", "x", "--share", "3/2"}, 2, "bad --share '3/2'"},
      {{"sweep", "--config", "x", "--launcher", "ssh"}, 2, "bad --launcher 'ssh'"},
      {{"sweep", "--config", "x", "-o", "/nonexistent/out"}, 5, "cannot write to '/nonexistent/out'"},
      {{"generate", "--prompt", "x", "--particels", "3"}, 2, "did you mean --particles?"},
      {{"generate", "--prompt", "x", "--particles", "0"}, 2, "bad --particles 0"},
      {{"generate", "--prompt", "x", "--particles", "many"}, 2, "bad command line"},
      {{"generate", "--prompt", "x", "--batch-size", "-1"}, 2, "bad --batch-size -1"},
      {{"generate", "--prompt", "x", "--max-tokens", "0"}, 2, "bad --max-tokens 0"},
      {{"generate", "--prompt", "x", "--temperature", "0"}, 2, "bad --temperature 0"},
      {{"generate", "--prompt", "x", "--temperature", "nan"}, 2, "bad --temperature"},
      {{"generate", "--prompt", "x", "--top-p", "1.5"}, 2, "bad --top-p 1.5"},
      {{"generate", "--prompt", "x", "--min-p", "1.5"}, 2, "bad --min-p 1.5"},
      {{"generate", "--prompt", "x", "--top-k", "-2"}, 2, "bad --top-k -2"},
      {{"generate", "--prompt", "x", "--ess-threshold", "-0.5"}, 2, "bad --ess-threshold"},
      {{"generate", "--prompt", "x", "--early-stop", "0"}, 2, "bad --early-stop 0"},
      {{"generate", "--prompt", "x", "--timeout", "-1"}, 2, "bad --timeout -1"},
      {{"generate", "--prompt", "x", "--workers", "-1"}, 2, "bad --workers -1"},
      {{"generate", "--prompt", "x", "--resampling", "fancy"},
       2,
       "choose one of multinomial, stratified, systematic, residual"},
      {{"generate", "--prompt", "x", "--proposal", "fancy"}, 2, "choose one of auto, model, masked"},
      {{"generate", "--prompt", "x", "--device", "tpu"}, 2, "bad --device 'tpu'"},
      {{"generate", "--prompt", "x", "--device", "cuda"}, 2, "--device cuda is not available"},
      {{"generate", "--prompt", "x", "--dtype", "int3"}, 2, "bad --dtype 'int3'"},
      {{"generate", "--prompt", "x", "--kv-dtype", "int4"}, 2, "bad --kv-dtype 'int4'"},
      {{"score", "--text", "x", "--kv-dtype", "int8", "--isa", "avx2"}, 3, "--kv-dtype int8 is not available"},
      {{"generate", "--prompt", "x", "--isa", "mmx"}, 2, "bad --isa 'mmx'"},
      {{"info", "--isa", "mmx"}, 2, "bad --isa 'mmx'"},
      {{"generate", "--prompt", "x", "--stop", ""}, 2, "bad --stop ''"},
      {{"generate", "--prompt", "x", "--prompt-file", "y"}, 2, "both --prompt and --prompt-file"},
      {{"generate", "--prompt-file", "/nonexistent/prompt"}, 2, "cannot read '/nonexistent/prompt'"},
      {{"generate", "--prompt", "x", "--config", "/nonexistent/job.cfg"}, 2, "cannot read job file"},
      {{"generate", "--prompt", "x", "stray"}, 2, "unexpected argument"},
      {{"generate", "--prompt", "x", "--regex", "a(b"}, 2, "position"},
      {{"generate", "--prompt", "x", "--regex", "(?=a)b"}, 2, "look-around (at position 1)"},
      {{"generate", "--prompt", "x", "--regex", "(a)\\1"}, 2, "back-reference (at position 4)"},
      {{"generate", "--prompt", "x", "--style", "baroque"}, 2, "baroque"},
      {{"generate", "--prompt", "x", "--potentials", "/nonexistent/p.json"}, 2, "cannot read"},
      {{"generate", "--prompt", "x", "--trace", "/nonexistent/t.h5"}, 5, "cannot write trace '/nonexistent/t.h5'"},
      {{"generate", "--prompt", "x", "--trace", "/"}, 5, "it is a directory"},
      {{"generate", "--prompt", "x", "--model", "/nonexistent/model"}, 3, "/nonexistent/model"},
      {{"generate", "--prompt", "x", "--model", "nobody/nothing-7B"}, 3, "download nobody/nothing-7B"},
      {{"generate", "--prompt", "x", "--model", "tabular:/nonexistent.json"}, 3, "/nonexistent.json"},
      {{"generate", "--prompt", "\xff\xfe"}, 2, "UTF-8"},
      {{"agent", "--agent", "sarcastic", "--prompt", "x"}, 2, "bad agent type 'sarcastic'"},
      {{"agent", "--model-type", "ouija", "--prompt", "x"}, 2, "bad --model-type 'ouija'"},
      {{"agent", "--model-size", "enormous", "--prompt", "x"}, 2, "bad --model-size 'enormous'"},
      {{"score"}, 2, "no text"},
      {{"score", "--text", "a", "--file", "b"}, 2, "both --text and --file"},
      {{"score", "--ids", "1,x"}, 2, "entry 'x'"},
      {{"score", "--ids", "99999999"}, 2, "not a token id"},
      {{"tokenize"}, 2, "no text"},
      {{"tokenize", "--decode", "-4"}, 2, "not a token id"},
      {{"info", "--model", "/nonexistent/model"}, 3, "/nonexistent/model"},
  };
  return list;
}

class BadInput : public testing::TestWithParam<Mistake> {};

TEST_P(BadInput, IsOneClearLine) {
  const Mistake& mistake = GetParam();

  const ProgramResult result = run_shoal(mistake.arguments);

  EXPECT_EQ(result.exit_code, mistake.exit_code) << result.err;
  EXPECT_NE(result.err.find(mistake.message), std::string::npos) << result.err;
  EXPECT_EQ(count(result.err, "\n"), 1) << result.err;
  EXPECT_EQ(result.err.rfind("shoal: error: ", 0), 0U) << result.err;
  EXPECT_EQ(result.out, "");
}

INSTANTIATE_TEST_SUITE_P(Table, BadInput, testing::ValuesIn(mistakes()));

class BadInputOnThreeRanks : public testing::TestWithParam<Mistake> {};

TEST_P(BadInputOnThreeRanks, IsSaidOnceAndEndsEveryRank) {
  const Mistake& mistake = GetParam();

  const ProgramResult result = run_shoal(mistake.arguments, 3);

  EXPECT_EQ(result.exit_code, mistake.exit_code) << result.err;
  EXPECT_EQ(count(result.err, "shoal: "), 1) << result.err;
  EXPECT_EQ(count(result.err, mistake.message), 1) << result.err;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadInputOnThreeRanks,
    testing::Values(Mistake{{"generate", "--prompt", "x", "--particles", "0"}, 2, "bad --particles 0"},
                    Mistake{{"generate", "--prompt", "x", "--regex", "a(b"}, 2, "position"},
                    Mistake{
                        {"generate", "--prompt", "x", "--model", "nobody/nothing-7B"}, 3, "download nobody/nothing-7B"},
                    Mistake{{"generate", "--prompt", "x", "--trace", "/nonexistent/t.h5"}, 5, "cannot write trace"},
                    Mistake{{"frobnicate"}, 2, "unknown subcommand"}));

TEST(BadInputFiles, LeaveNoTraceBehind) {
  const TemporaryFolder folder;

  const ProgramResult result =
      run_shoal({"generate", "--prompt", "x", "--model", "/nonexistent/model", "--trace", folder.path("t.h5")}, 2);

  EXPECT_EQ(result.exit_code, 3);
  EXPECT_FALSE(std::filesystem::exists(folder.path("t.h5")));
}

TEST(BadInputFiles, JobFileErrorsNameTheFile) {
  const TemporaryFolder folder;
  const std::string job = folder.write("job.cfg", "prompt = hello\nparticels = 3\n");

  const ProgramResult result = run_shoal({"generate", "--config", job});

  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("job.cfg"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("did you mean --particles?"), std::string::npos) << result.err;
}

TEST(BadInputFiles, PotentialFilesAreCheckedBeforeTheModelIsLoaded) {
  const TemporaryFolder folder;
  const std::string file = folder.write("p.json", R"({"potentials": [{"type": "regexp", "pattern": "a"}]})");

  const ProgramResult result =
      run_shoal({"generate", "--prompt", "x", "--potentials", file, "--model", "/nonexistent/model"});

  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("regexp"), std::string::npos) << result.err;
}

TEST(Help, IsPrintedForEverySubcommand) {
  for (const std::string command : {"generate", "agent", "score", "tokenize", "info"}) {
    const ProgramResult result = run_shoal({command, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out.rfind("Usage: shoal " + command, 0), 0U) << result.out;
    EXPECT_EQ(result.err, "");
  }
  EXPECT_EQ(run_shoal({"--help"}).exit_code, 0);
  EXPECT_EQ(run_shoal({}).exit_code, 2);
}

}  // namespace
}  // namespace shoal::test
