// Truncated and flipped files are refused, or read as they were; never a crash, never a hang.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "shoal/error.hpp"
#include "trace/sample.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace {
namespace {

using testing::difference;
using testing::sample_batch;
using testing::sample_info;
using testing::sample_result;
using testing::ScratchFolder;

constexpr std::uint32_t batches = 6;

enum Outcome : int { as_written = 0, refused = 1, other_values = 2, crashed = 3 };

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Outcome outcome_of_reading(const std::string& path) {
  try {
    const Trace trace = read_trace(path);
    if (trace.batches.size() != batches || trace.info != sample_info()) return other_values;
    for (std::uint32_t b = 0; b < batches; ++b)
      if (!difference(trace.batches[b], sample_batch(sample_info(), 3, b)).empty()) return other_values;
    return as_written;
  } catch (const IoError&) {
    return refused;
  }
}

/// Reads in a child process, so that a crash, a hang or words of HDF5 (even at its end) are outcomes too.
Outcome outcome_of(const std::string& path) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    if (std::freopen((path + ".stderr").c_str(), "w", stderr) == nullptr) _exit(crashed);
    std::exit(outcome_of_reading(path));
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(read_bytes(path + ".stderr"), "");
  return WIFEXITED(status) ? static_cast<Outcome>(WEXITSTATUS(status)) : crashed;
}

/// How many damages per test; SHOAL_TEST_DAMAGES asks for more.
int damages() {
  const char* wanted = std::getenv("SHOAL_TEST_DAMAGES");
  return wanted == nullptr ? 200 : std::atoi(wanted);
}

enum class Written { finished, killed };

class Damage : public ::testing::TestWithParam<Written> {
 protected:
  void SetUp() override {
    const pid_t child = fork();
    if (child == 0) {
      TraceWriter writer(path_, sample_info(), &testing::sample_vocabulary());
      for (std::uint32_t b = 0; b < batches; ++b) writer.on_batch(sample_batch(sample_info(), 3, b));
      if (GetParam() == Written::finished) writer.finish(sample_result(sample_info(), 3));
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    bytes_ = read_bytes(path_);
    ASSERT_EQ(outcome_of(path_), as_written);
  }

  ScratchFolder folder_;
  std::string path_ = folder_ / "t.h5";
  std::string bytes_;
  std::mt19937_64 random_{11};
};

TEST_P(Damage, TruncatedFilesAreRefusedOrWhole) {
  for (int i = 0; i < damages(); ++i) {
    const std::size_t length = random_() % bytes_.size();
    write_bytes(path_, bytes_.substr(0, length));
    const Outcome outcome = outcome_of(path_);
    ASSERT_TRUE(outcome == refused || outcome == as_written) << length << " of " << bytes_.size() << ": " << outcome;
  }
}

TEST_P(Damage, FlippedBytesNeverCrash) {
  for (int i = 0; i < damages(); ++i) {
    std::string damaged = bytes_;
    const std::size_t at = random_() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1 + random_() % 255));
    write_bytes(path_, damaged);
    ASSERT_NE(outcome_of(path_), crashed) << "byte " << at << " of " << damaged.size();
  }
}

TEST_P(Damage, ZeroedBlocksNeverCrash) {
  for (int i = 0; i < damages(); ++i) {
    std::string damaged = bytes_;
    const std::size_t at = random_() % damaged.size();
    const std::size_t length = std::min<std::size_t>(1 + random_() % 4096, damaged.size() - at);
    damaged.replace(at, length, length, i % 2 == 0 ? '\0' : '\xff');
    write_bytes(path_, damaged);
    ASSERT_NE(outcome_of(path_), crashed) << length << " bytes at " << at << " of " << damaged.size();
  }
}

INSTANTIATE_TEST_SUITE_P(Traces, Damage, ::testing::Values(Written::finished, Written::killed),
                         [](const auto& suite) { return suite.param == Written::finished ? "Finished" : "Killed"; });

}  // namespace
}  // namespace shoal::trace
