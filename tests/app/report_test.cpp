// `shoal report`: what it writes, and every mistake as one line with its exit code.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/program.hpp"
#include "trace/synthetic_run.hpp"

namespace shoal::test {
namespace {

namespace fs = std::filesystem;
using trace::testing::synthetic_trace;
using trace::testing::write_trace_file;

/// A folder with the traces that the tests report on.
class Report : public testing::Test {
 protected:
  Report() {
    write_trace_file(trace_, synthetic_trace({.particles = 12, .batches = 4}));
    write_trace_file(unfinished_, synthetic_trace({.particles = 12, .batches = 3, .with_result = false}));
  }

  void expect_error(const std::vector<std::string>& arguments, int exit_code, const std::string& message) const {
    const auto files = list();
    std::vector<std::string> all{"report"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const ProgramResult result = run_shoal(all);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.err.rfind("shoal: error: ", 0), 0U) << result.err;
    EXPECT_NE(result.err.find(message), std::string::npos) << result.err;
    EXPECT_EQ(count(result.err, "\n"), 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(list(), files) << "no file may be left behind";
  }

  [[nodiscard]] std::vector<std::string> list() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path("")))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  TemporaryFolder folder_;
  std::string trace_ = folder_.path("run.h5");
  std::string unfinished_ = folder_.path("unfinished.h5");
};

TEST_F(Report, LiesNextToTheTraceByDefault) {
  const ProgramResult result = run_shoal({"report", trace_});

  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "shoal: wrote the report " + folder_.path("run.html") + "\n");
  const std::string page = read_all(folder_.path("run.html"));
  EXPECT_EQ(page.rfind("<!DOCTYPE html>", 0), 0U);
  EXPECT_EQ(page.substr(page.size() - 8), "</html>\n");
  EXPECT_EQ(list(), (std::vector<std::string>{"run.h5", "run.html", "unfinished.h5"}));
}

TEST_F(Report, GoesWhereItIsTold) {
  ASSERT_EQ(run_shoal({"report", trace_, "-o", folder_.path("page.html")}).exit_code, 0);
  const ProgramResult printed = run_shoal({"report", "-o", "-", trace_});

  EXPECT_EQ(printed.exit_code, 0);
  EXPECT_EQ(printed.err, "");
  EXPECT_EQ(printed.out, read_all(folder_.path("page.html")));
  EXPECT_FALSE(fs::exists(folder_.path("run.html")));
}

TEST_F(Report, ReplacesAnEarlierPageAndKeepsLinks) {
  const std::string real = folder_.write("real.html", "old");
  fs::create_symlink("real.html", folder_.path("page.html"));

  ASSERT_EQ(run_shoal({"report", trace_, "-o", folder_.path("page.html")}).exit_code, 0);

  EXPECT_TRUE(fs::is_symlink(folder_.path("page.html")));
  EXPECT_EQ(read_all(real).rfind("<!DOCTYPE html>", 0), 0U);
}

TEST_F(Report, ExportsGenlmsRecord) {
  const ProgramResult result = run_shoal({"report", trace_, "--export-genlm", folder_.path("run.json")});

  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto record = nlohmann::json::parse(read_all(folder_.path("run.json")));
  EXPECT_EQ(record.size(), 4U);
  EXPECT_EQ(record[0]["particles"].size(), 12U);
  EXPECT_FALSE(fs::exists(folder_.path("run.html"))) << "the page is made only if asked for";
}

TEST_F(Report, OfAnUnfinishedRunIsPartialAndSaysSo) {
  const ProgramResult result = run_shoal({"report", unfinished_});

  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("has no result (the run was killed"), std::string::npos) << result.err;
  EXPECT_NE(read_all(folder_.path("unfinished.html")).find("This report is partial."), std::string::npos);
}

TEST_F(Report, UnderMpirunIsWrittenOnce) {
  const ProgramResult result = run_shoal({"report", trace_}, 3);

  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(count(result.err, "wrote the report"), 1) << result.err;
}

TEST_F(Report, MistakesOfTheCommandLineAreExitCode2) {
  expect_error({}, 2, "no trace");
  expect_error({trace_, "--otput", "x"}, 2, "did you mean --output?");
  expect_error({trace_, "second.h5"}, 2, "unexpected argument");
  expect_error({trace_, "-o", trace_}, 2, "it is the trace");
  expect_error({trace_, "--export-genlm", folder_.path("./run.h5")}, 2, "it is the trace");
  expect_error({trace_, "-o", folder_.path("x"), "--export-genlm", folder_.path("x")}, 2, "the same file");
}

TEST_F(Report, TracesThatCannotBeReadAreExitCode5) {
  const std::string notes = folder_.write("notes.txt", "precious");
  const std::string whole = read_all(trace_);
  const std::string half = folder_.write("half.h5", whole.substr(0, whole.size() / 2));

  expect_error({folder_.path("missing.h5")}, 5, "no such file");
  expect_error({folder_.path("")}, 5, "it is a folder");
  expect_error({notes}, 5, "it is no HDF5 file");
  expect_error({half}, 5, "cannot read the trace " + half);
}

TEST_F(Report, OutputsThatCannotBeWrittenAreExitCode5) {
  expect_error({trace_, "-o", folder_.path("missing/page.html")}, 5, "does not exist");
  expect_error({trace_, "-o", folder_.path("")}, 5, "it is a folder");
  expect_error({trace_, "-o", unfinished_}, 5, "an HDF5 file has that name");
  expect_error({trace_, "-o", "/dev/full"}, 5, "No space left on device");
  expect_error({trace_, "--export-genlm", "/dev/full"}, 5, "No space left on device");
}

TEST_F(Report, HelpSaysWhereThePageGoes) {
  const ProgramResult result = run_shoal({"report", "--help"});

  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out.rfind("Usage: shoal report TRACE.h5", 0), 0U) << result.out;
  EXPECT_NE(result.out.find("the trace's name, ending in .html"), std::string::npos) << result.out;
}

}  // namespace
}  // namespace shoal::test
