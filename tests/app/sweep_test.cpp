// `shoal sweep` as a user runs it: every cell an MPI job, one table, nothing run twice, nothing lost.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/program.hpp"

namespace shoal::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* coin = R"({"tokens": ["a", "b", "c", "."], "end": ".",
  "table": {"": {"a": 0.5, "b": 0.25, "c": 0.1, ".": 0.15}}})";

class Sweep : public ::testing::Test {
 protected:
  Sweep() { write_model(coin); }

  void write_model(const std::string& content) { model_ = folder_.write("coin.json", content); }
  /// A job file about the tabular model, with more lines.
  [[nodiscard]] std::string job(const std::string& lines) const {
    return folder_.write("job.cfg", "model = tabular:" + model_ + "\nmax-tokens = 6\n" + lines);
  }
  [[nodiscard]] ProgramResult sweep(const std::string& job_file, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"sweep", "--config", job_file, "-o", folder_.path("out")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_shoal(arguments, 0, "", "OMPI_MCA_rmaps_base_oversubscribe=1");
  }
  [[nodiscard]] std::vector<fs::path> cells() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_.path("out.cells"))) files.push_back(entry.path());
    return files;
  }
  [[nodiscard]] std::string table() const { return read_all(folder_.path("out.md")); }

  TemporaryFolder folder_;
  std::string model_;
};

TEST_F(Sweep, MakesOneTableAndRunsNothingTwice) {
  const std::string job_file = job("[grid]\nparticles = 10, 40\nranks = 1,2\nseed = 1..2\n");

  const ProgramResult first = sweep(job_file);

  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out, table());
  EXPECT_EQ(cells().size(), 8U);
  EXPECT_TRUE(fs::exists(folder_.path("out.h5")));
  EXPECT_EQ(count(first.out, "\n| 10 | 1 | 2 |"), 1) << first.out;
  EXPECT_EQ(count(first.out, "\n| 40 | 2 | 2 |"), 1) << first.out;

  const ProgramResult again = sweep(job_file);

  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out, first.out);
  EXPECT_EQ(count(again.err, "cell"), 0) << again.err;
}

TEST_F(Sweep, RunsAgainWhatHasChanged) {
  ASSERT_EQ(sweep(job("[grid]\nseed = 1..2\n")).exit_code, 0);
  ASSERT_EQ(sweep(job("[grid]\nseed = 2..3\n")).exit_code, 0);
  EXPECT_EQ(cells().size(), 3U);
  ASSERT_EQ(sweep(job("temperature = 0.9\n[grid]\nseed = 2..3\n")).exit_code, 0);
  EXPECT_EQ(cells().size(), 5U);

  write_model(std::string(coin) + " ");  // another model of the same name
  ASSERT_EQ(sweep(job("[grid]\nseed = 2..3\n")).exit_code, 0);
  EXPECT_EQ(cells().size(), 7U);
}

TEST_F(Sweep, EveryOptionMakesACellOfItsOwn) {
  ASSERT_EQ(sweep(job("[grid]\nmigrate = kv, tokens\nspare = 0, 10\n")).exit_code, 0);
  EXPECT_EQ(cells().size(), 4U);
}

TEST_F(Sweep, TakesEmptyValues) {
  const ProgramResult result =
      sweep(folder_.write("job.cfg", "prompt = Hi\nparticles = 1\nmax-tokens = 1\n[grid]\nsystem = \"\", Be brief.\n"));

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(cells().size(), 2U);
}

TEST_F(Sweep, ApproachesTheExactPosterior) {
  const ProgramResult result =
      sweep(job("exact-posterior = true\nregex = a*b*\n[grid]\nparticles = 20, 5000\nseed = 1..3\n"));

  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::vector<double> distances;
  for (const fs::path& cell : cells()) {
    const auto json = nlohmann::json::parse(read_all(cell));
    const double distance = json.at("figures").at("total_variation");
    const bool many = json.at("cell").get<std::string>().starts_with("particles=5000");
    EXPECT_TRUE(many ? distance < 0.03 : distance > 0.03) << json.dump();
  }
  EXPECT_EQ(count(result.out, "TV to exact"), 2) << result.out;
}

TEST_F(Sweep, ScoresAnswersUnderAHeldOutModel) {
  const ProgramResult result = sweep(job("scorer = tabular:" + model_ + "\nregex = aa\n"));

  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto figures = nlohmann::json::parse(read_all(cells().front())).at("figures");
  EXPECT_NEAR(figures.at("scorer_logprob").get<double>(), std::log(0.5), 1e-6);
  EXPECT_EQ(figures.at("satisfied"), 1.0);
  EXPECT_EQ(figures.at("log_potential"), 0.0);
}

TEST_F(Sweep, ReportsWhatFailsAndGoesOn) {
  const std::string job_file = folder_.write("job.cfg",
                                             "prompt = Tell me about cats.\nmax-tokens = 5\nparticles = 2\n"
                                             "[case too_long]\nmax-tokens = 100000\n"
                                             "[case dies]\nregex = qqqq\nproposal = model\n"
                                             "[case no_gpu]\ndevice = cuda\n"
                                             "[case good]\n");

  const ProgramResult result = sweep(job_file);

  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(count(result.out, "| too_long | 1 failed |"), 1) << result.out;
  EXPECT_EQ(count(result.out, "- 1 cell failed, exit code 2: "), 1) << result.out;
  EXPECT_EQ(count(result.out, "| dies | 1 extinct |"), 1) << result.out;
  EXPECT_EQ(count(result.out, "| good | 1 | "), 1) << result.out;
  EXPECT_EQ(count(result.out, "\n| no_gpu |"), 1) << result.out;  // where there is a GPU it runs
  EXPECT_EQ(count(result.out, "| no_gpu | skipped |"), count(result.out, "- 1 cell skipped: ")) << result.out;

  const ProgramResult again = sweep(job_file);  // only the failed cell
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(count(again.err, "shoal: cell "), 1) << again.err;
}

TEST_F(Sweep, SharesAreMerged) {
  const std::string job_file = job("[grid]\nseed = 1..5\n");

  ASSERT_EQ(sweep(job_file, {"--share", "2/3"}).exit_code, 0);
  EXPECT_EQ(cells().size(), 2U);
  EXPECT_FALSE(fs::exists(folder_.path("out.md")));
  ASSERT_EQ(sweep(job_file, {"--share", "1/3"}).exit_code, 0);
  EXPECT_EQ(cells().size(), 4U);
  const ProgramResult merged = sweep(job_file);

  EXPECT_EQ(merged.exit_code, 0);
  EXPECT_EQ(count(merged.err, "cell 1/1 "), 1) << merged.err;
  EXPECT_EQ(count(table(), "\n| 5 |"), 1) << table();
}

TEST_F(Sweep, KeepsFinishedCellsWhenItIsInterrupted) {
  const std::string job_file = job("[grid]\nseed = 1..200\n");
  std::vector<std::string> command = shoal_command({"sweep", "--config", job_file, "-o", folder_.path("out")}, 0);
  int code = -1;
  {
    RunningProgram program(command, folder_);
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!fs::exists(folder_.path("out.cells")) || cells().size() < 4) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    kill(program.pid(), SIGTERM);
    code = program.wait(30.0);
    EXPECT_TRUE(program.ranks().empty());
  }

  EXPECT_EQ(code, 143);
  const std::string words = read_all(folder_.path("err"));
  EXPECT_EQ(count(words, "of 200 cells are done and kept"), 1) << words;
  EXPECT_EQ(count(words, "the same command goes on"), 1) << words;
  EXPECT_FALSE(fs::exists(folder_.path("out.md")));
  for (const fs::path& cell : cells()) EXPECT_EQ(cell.extension(), ".json") << cell;
}

TEST_F(Sweep, DryRunListsTheCells) {
  const ProgramResult result = sweep(job("[grid]\nseed = 1..3\nresampling = systematic, residual\n"), {"--dry-run"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(count(result.out, "mpirun "), 6);
  EXPECT_EQ(count(result.out, "cell 2/6  seed=1 resampling=residual  to do"), 1) << result.out;
  EXPECT_FALSE(fs::exists(folder_.path("out.cells")));
}

TEST_F(Sweep, ChecksEverythingBeforeTheFirstRun) {
  struct Mistake {
    const char* lines;
    int exit_code;
    const char* message;
  };
  for (const auto& [lines, code, message] :
       {Mistake{"[grid]\nparticles = 5, 0\n", 2, "cell 2 of 2: bad --particles 0"},
        Mistake{"[grid]\nparticels = 5\n", 2, "did you mean --particles?"},
        Mistake{"ranks = none\n", 2, "bad ranks 'none'"}, Mistake{"regex = a(b\n", 2, "position"},
        Mistake{"trace = t.h5\n", 2, "option 'trace' has no place in a sweep"},
        Mistake{"prompt = x\n[case x]\nmodel = /nonexistent/model\n", 3, "/nonexistent/model"},
        Mistake{"exact-posterior = true\ntop-k = 2\n", 2, "exact-posterior is not possible"},
        Mistake{"raw-prompt = maybe\n", 2, "bad raw-prompt 'maybe'"},
        Mistake{"[seed x]\nparticles = 1\n", 2, "'seed' is an option or a column"},
        Mistake{"[status x]\nparticles = 1\n", 2, "'status' is an option or a column"},
        Mistake{"scorer = /nonexistent/scorer\n", 3, "/nonexistent/scorer"}}) {
    const ProgramResult result = sweep(job(lines));
    EXPECT_EQ(result.exit_code, code) << lines << result.err;
    EXPECT_EQ(count(result.err, message), 1) << result.err;
    EXPECT_EQ(count(result.err, "\n"), 1) << result.err;
    EXPECT_FALSE(fs::exists(folder_.path("out.cells")));
  }
}

TEST_F(Sweep, LeavesOtherFilesAlone) {
  const std::string theirs = folder_.write("out.h5", "not a table");

  const ProgramResult result = sweep(job(""));

  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(count(result.err, "cannot write the table"), 1) << result.err;
  EXPECT_EQ(read_all(theirs), "not a table");
  EXPECT_FALSE(fs::exists(folder_.path("out.cells")));
}

TEST_F(Sweep, IsRefusedUnderMpirun) {
  const ProgramResult result = run_shoal({"sweep", "--config", job("")}, 2);

  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(count(result.err, "shoal: error: sweep was started several times"), 1) << result.err;
}

TEST(Environment, GivesOptions) {
  const std::vector<std::string> arguments{"generate", "--prompt", "Hi", "--max-tokens", "3", "--json", "--quiet"};

  const auto from_environment = run_shoal(arguments, 0, "", "SHOAL_PARTICLES=3 SHOAL_MAX_TOKENS=99 SHOAL_SEED=");
  const auto json = nlohmann::json::parse(from_environment.out);
  EXPECT_EQ(json.at("particles").size(), 3U);
  EXPECT_LE(json.at("timing").at("token_steps"), 4);  // the command line wins

  auto with_alias = arguments;
  with_alias.insert(with_alias.end(), {"--monte-carlo-particles", "2"});
  const auto aliased = run_shoal(with_alias, 0, "", "SHOAL_PARTICLES=3");
  EXPECT_EQ(nlohmann::json::parse(aliased.out).at("particles").size(), 2U);

  const auto bad = run_shoal(arguments, 0, "", "SHOAL_PARTICLES=many");
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_EQ(count(bad.err, "bad environment variable"), 1) << bad.err;
}

}  // namespace
}  // namespace shoal::test
