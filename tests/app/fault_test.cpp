// What happens to a job when its processes die, hang or are told to end, and when its disk is full.
// SHOAL_TEST_KILLS: how many ranks to kill (5).
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <thread>

#include "app/long_job.hpp"
#include "trace/checkpoint.hpp"
#include "trace/trace_reader.hpp"

namespace shoal::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int job_tokens = 1200;      // 200 batches
constexpr double end_limit_s = 30.0;  // by which a job must have ended after whatever happened to it

void sleep_s(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

/// Until @p condition holds; false if it never does.
template <class Condition>
bool eventually(const Condition& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    sleep_s(0.005);
  }
  return false;
}

std::vector<std::string> with_outputs(const LongJob& job, const std::string& interval, bool resume) {
  std::vector<std::string> more{"--trace", job.path("t.h5"), "--checkpoint-interval",
                                interval,  "--checkpoint",   job.path("c")};
  if (resume) more.insert(more.end(), {"--resume", job.path("c")});
  return job.arguments(more);
}

void expect_prefix_of(const trace::Trace& part, const trace::Trace& whole) {
  ASSERT_LE(part.batches.size(), whole.batches.size());
  for (std::size_t b = 0; b < part.batches.size(); ++b) {
    EXPECT_EQ(part.batches[b].log_weight, whole.batches[b].log_weight) << b;
    EXPECT_EQ(part.batches[b].ancestor, whole.batches[b].ancestor) << b;
    EXPECT_EQ(part.batches[b].token, whole.batches[b].token) << b;
    EXPECT_EQ(part.batches[b].potential, whole.batches[b].potential) << b;
    EXPECT_EQ(part.batches[b].log_z, whole.batches[b].log_z) << b;
  }
}

/// The run that nothing happens to.
class Faults : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const LongJob job(job_tokens);
    const auto begin = std::chrono::steady_clock::now();
    RunningProgram program(shoal_command(with_outputs(job, "0", false), 2), job.folder());
    ASSERT_EQ(program.wait(60), 0) << read_all(job.path("err"));
    duration_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    answer_ = comparable(read_all(job.path("out")));
    trace_ = trace::read_trace(job.path("t.h5"));
    ASSERT_GT(trace_.batches.size(), 100U);
  }

  static void expect_same_end(const LongJob& job) {
    EXPECT_EQ(comparable(read_all(job.path("out"))), answer_);
    const trace::Trace trace = trace::read_trace(job.path("t.h5"));
    EXPECT_EQ(trace.batches.size(), trace_.batches.size());
    expect_prefix_of(trace, trace_);
    ASSERT_TRUE(trace.result.has_value());
    EXPECT_EQ(trace.result->texts, trace_.result->texts);
  }

  /// Goes on on @p ranks ranks to the end.
  static void expect_goes_on(const LongJob& job, int ranks) {
    RunningProgram program(shoal_command(with_outputs(job, "0", true), ranks), job.folder());
    ASSERT_EQ(program.wait(60), 0) << read_all(job.path("err"));
    expect_same_end(job);
  }

  static inline double duration_s_ = 0;
  static inline json answer_;
  static inline trace::Trace trace_;
};

int wanted_kills() {
  const char* wanted = std::getenv("SHOAL_TEST_KILLS");
  return wanted == nullptr ? 5 : std::atoi(wanted);
}

TEST_F(Faults, AKilledRankCostsAtMostOneBatchAndTheJobGoesOnOnAnyNumberOfRanks) {
  std::mt19937_64 random(7);
  const auto below = [&](std::size_t n) { return static_cast<int>(random() % n); };
  int kills = 0;
  int from_checkpoint = 0;
  int jobs = 0;
  for (; kills < wanted_kills(); ++jobs) {
    const LongJob job(job_tokens);
    for (bool ended = false; !ended;) {
      const bool resume = fs::exists(job.path("c"));
      from_checkpoint += resume ? 1 : 0;
      RunningProgram program(shoal_command(with_outputs(job, "0", resume), 1 + below(4)), job.folder());
      sleep_s(duration_s_ * below(1000) / 900.0);
      const auto ranks = program.ranks();
      if (kills < wanted_kills() && !ranks.empty() && !program.ended()) {
        kill(ranks[random() % ranks.size()], SIGKILL);
        ++kills;
      }
      const int code = program.wait_for_ranks(end_limit_s);
      ASSERT_NE(code, -1) << "it hangs";
      ended = code == 0;
      if (ended) expect_same_end(job);
      if (!ended && fs::exists(job.path("t.h5"))) {
        const trace::Trace trace = trace::read_trace(job.path("t.h5"));
        expect_prefix_of(trace, trace_);
        if (fs::exists(job.path("c"))) {
          const auto saved = trace::read_checkpoint(job.path("c")).state.batches;
          EXPECT_GE(trace.batches.size(), saved);
          EXPECT_LE(trace.batches.size(), saved + 1);
        }
      }
      ASSERT_FALSE(HasFailure()) << "job " << jobs << ", kill " << kills << ": " << read_all(job.path("err"));
    }
  }
  std::cout << kills << " kills, " << from_checkpoint << " starts from a checkpoint, " << jobs
            << " jobs, all with the same bits\n";
}

TEST_F(Faults, SignalsEndTheRunAfterTheTokenAndItGoesOn) {
  for (const int number : {SIGTERM, SIGINT}) {
    const LongJob job(job_tokens);
    RunningProgram program(shoal_command(with_outputs(job, "0", false), 0), job.folder());
    ASSERT_TRUE(eventually([&] { return fs::exists(job.path("c.prev")); }));
    kill(program.pid(), number);
    ASSERT_EQ(program.wait(end_limit_s), 128 + number) << read_all(job.path("err"));
    EXPECT_EQ(comparable(read_all(job.path("out")))["finish_reason"], "signal");
    EXPECT_EQ(trace::read_trace(job.path("t.h5")).result->finish_reason, "signal");
    if (number == SIGTERM) expect_goes_on(job, 3);
  }
}

TEST_F(Faults, MpirunPassesOnSigUsr1ForACheckpointAndSigUsr2ForTheEnd) {
  const LongJob endless = LongJob::endless();
  RunningProgram program(shoal_command(with_outputs(endless, "1e6", false), 3), endless.folder());
  ASSERT_TRUE(eventually([&] { return fs::exists(endless.path("t.h5")); }));
  sleep_s(0.3);
  ASSERT_FALSE(fs::exists(endless.path("c")));
  kill(program.pid(), SIGUSR1);
  EXPECT_TRUE(eventually([&] { return fs::exists(endless.path("c")); }));
  EXPECT_FALSE(program.ended());
  const auto first = trace::read_checkpoint(endless.path("c")).state.batches;
  sleep_s(0.2);
  kill(program.pid(), SIGUSR2);
  EXPECT_EQ(program.wait(end_limit_s), 128 + SIGUSR2) << read_all(endless.path("err"));
  EXPECT_GT(trace::read_checkpoint(endless.path("c")).state.batches, first);
}

TEST_F(Faults, AnExpiredTimeoutLeavesACheckpointAndTheRunGoesOn) {
  const LongJob job(job_tokens);
  auto arguments = with_outputs(job, "1000", false);
  arguments.insert(arguments.end(), {"--timeout", "0.03"});
  RunningProgram program(shoal_command(arguments, 2), job.folder());
  ASSERT_EQ(program.wait(end_limit_s), 0) << read_all(job.path("err"));
  ASSERT_EQ(comparable(read_all(job.path("out")))["finish_reason"], "timeout");
  expect_goes_on(job, 1);
}

TEST_F(Faults, ARankThatHangsEndsTheJobWithItsName) {
  for (const std::size_t stopped : {0U, 2U}) {
    const LongJob endless = LongJob::endless();
    auto arguments = with_outputs(endless, "0", false);
    arguments.insert(arguments.end(), {"--hang-limit", "2.5"});
    RunningProgram program(shoal_command(arguments, 3), endless.folder());
    ASSERT_TRUE(eventually([&] { return fs::exists(endless.path("c")); }));
    const auto ranks = program.ranks();
    ASSERT_EQ(ranks.size(), 3U);
    kill(ranks[stopped], SIGSTOP);
    EXPECT_EQ(program.wait(end_limit_s), 75);
    const std::string err = read_all(endless.path("err"));
    const std::string line =
        "shoal: error: rank " + std::to_string(stopped) + " (process " + std::to_string(ranks[stopped]) + " on ";
    EXPECT_EQ(count(err, line), 1) << err;
    EXPECT_EQ(count(err, "shoal: error"), 1) << err;
    EXPECT_NO_THROW(trace::read_checkpoint(endless.path("c")));
    EXPECT_NO_THROW(trace::read_trace(endless.path("t.h5")));
  }
}

/// A file system of its own, too small for the job.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& folder, const std::string& size) : folder_(folder) {
    fs::create_directory(folder_);
    mounted_ = mount("none", folder_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount(folder_.c_str());
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  std::string folder_;
  bool mounted_;
};

TEST_F(Faults, AFullDiskIsOneLineAndWhatWasWrittenStaysValid) {
  const LongJob job = LongJob::endless();
  const SmallDisk disk(job.path("disk"), "160k");
  if (!disk.mounted()) GTEST_SKIP() << "a small disk can be mounted by root only";
  const std::string full = "No space left on device";

  const auto checkpoint_job = job.arguments({"--checkpoint", job.path("disk/c"), "--checkpoint-interval", "0"});
  const ProgramResult checkpoint = run_shoal(checkpoint_job, 2);
  EXPECT_EQ(checkpoint.exit_code, 5);
  EXPECT_EQ(count(checkpoint.err, "shoal: error: cannot write the checkpoint"), 1) << checkpoint.err;
  EXPECT_EQ(count(checkpoint.err, full), 1) << checkpoint.err;
  EXPECT_GT(trace::read_checkpoint(job.path("disk/c")).state.batches, 10U);
  EXPECT_NO_THROW(trace::read_checkpoint(job.path("disk/c.prev")));
  EXPECT_FALSE(fs::exists(job.path("disk/c.partial")));
  fs::remove(job.path("disk/c"));
  fs::remove(job.path("disk/c.prev"));

  const ProgramResult trace = run_shoal(job.arguments({"--trace", job.path("disk/t.h5")}), 2);
  EXPECT_EQ(trace.exit_code, 5);
  EXPECT_EQ(count(trace.err, "shoal: error: cannot write batch"), 1) << trace.err;
  EXPECT_EQ(count(trace.err, full), 1) << trace.err;
  EXPECT_GT(trace::read_trace(job.path("disk/t.h5")).batches.size(), 10U);
}

}  // namespace
}  // namespace shoal::test
