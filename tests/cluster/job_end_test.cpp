// How a job over several ranks ends, seen from outside.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace shoal::test {
namespace {

struct Ended {
  int exit_code;
  std::string output;  ///< standard output and error
};

Ended run(const std::string& program, int ranks) {
  std::string command = "timeout -k 5 60 ";
  if (ranks > 0) command += "mpirun --oversubscribe --bind-to none -n " + std::to_string(ranks) + " ";
  std::FILE* pipe = popen((command + program + " 2>&1").c_str(), "r");
  std::string output;
  std::array<char, 4096> chunk{};
  while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe)) output.append(chunk.data(), n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(JobEnd, ARankThatFailsWhileTheOthersWaitForItEndsTheJobWithItsLineAndCode) {
  for (const int ranks : {0, 1, 2, 3}) {
    const Ended ended = run(LONELY_FAILURE, ranks);
    EXPECT_EQ(ended.exit_code, 5) << ended.output;
    EXPECT_EQ(count(ended.output, "shoal: error: disk full"), 1) << ended.output;
  }
}

TEST(JobEnd, ARankWithoutMemoryForWhatComesEndsTheJobWithItsLine) {
  for (const int ranks : {2, 3}) {
    const Ended ended = run(SHORT_OF_MEMORY, ranks);
    EXPECT_EQ(ended.exit_code, 70) << ended.output;
    EXPECT_EQ(count(ended.output, "shoal: error: out of memory (rank 0 "), 1) << ended.output;
  }
}

TEST(JobEnd, AHostProgramThatUsesMpiItselfEndsItItself) {
  for (const int ranks : {0, 2, 3}) {
    const Ended ended = run(HOST_PROGRAM, ranks);
    EXPECT_EQ(ended.exit_code, 0) << ended.output;
    EXPECT_EQ(ended.output, "highest rank " + std::to_string(std::max(1, ranks) - 1) + "\n");
  }
}

}  // namespace
}  // namespace shoal::test
