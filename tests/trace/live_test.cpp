// Reading a trace that is being written, and one whose writer was killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <random>

#include "trace/sample.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace {
namespace {

using testing::difference;
using testing::sample_batch;
using testing::sample_info;
using testing::sample_result;
using testing::ScratchFolder;

/// A child process that writes batches, one byte on the pipe after each.
class WritingChild {
 public:
  WritingChild(const std::string& path, const TraceInfo& info) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
    child_ = fork();
    if (child_ == 0) {
      close(ends[0]);
      write_forever(path, info, ends[1]);
    }
    close(ends[1]);
    confirmed_ = ends[0];
  }
  ~WritingChild() { kill(); }

  /// Waits for @p batches more confirmations.
  void wait_for(int batches) {
    for (char byte = 0; batches > 0 && read(confirmed_, &byte, 1) == 1; --batches) ++count_;
  }
  /// SIGKILL; then count() is the number of confirmed batches.
  void kill() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = 0;
    for (char byte = 0; read(confirmed_, &byte, 1) == 1;) ++count_;
    close(confirmed_);
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  [[noreturn]] static void write_forever(const std::string& path, const TraceInfo& info, int confirm) {
    TraceWriter writer(path, info, &testing::sample_vocabulary());
    for (std::uint32_t b = 0;; ++b) {
      writer.on_batch(sample_batch(info, 9, b));
      if (write(confirm, "b", 1) != 1) _exit(0);
    }
  }

  pid_t child_ = 0;
  int confirmed_ = -1;
  std::size_t count_ = 0;
};

void expect_sample_batches(const Trace& trace) {
  for (std::size_t b = 0; b < trace.batches.size(); ++b)
    ASSERT_EQ(difference(trace.batches[b], sample_batch(trace.info, 9, static_cast<std::uint32_t>(b))), "")
        << "batch " << b << " of " << trace.batches.size();
}

TEST(LiveTrace, ReaderInTheSameProcessSeesEveryBatch) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  TraceWriter writer(folder / "t.h5", info);

  EXPECT_EQ(read_trace(folder / "t.h5").batches.size(), 0U);
  for (std::uint32_t b = 0; b < 5; ++b) {
    writer.on_batch(sample_batch(info, 9, b));
    const Trace trace = read_trace(folder / "t.h5");
    ASSERT_EQ(trace.batches.size(), b + 1);
    EXPECT_FALSE(trace.result.has_value());
    expect_sample_batches(trace);
  }
}

TEST(LiveTrace, ReaderInAnotherProcessSeesCompletedBatches) {
  const ScratchFolder folder;
  WritingChild child(folder / "t.h5", sample_info());

  for (int i = 0; i < 40; ++i) {
    child.wait_for(3);
    const Trace trace = read_trace(folder / "t.h5");
    ASSERT_GE(trace.batches.size(), child.count());
    expect_sample_batches(trace);
  }
}

TEST(LiveTrace, KilledWriterLeavesEveryConfirmedBatch) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 40; ++i) {
    const ScratchFolder folder;
    WritingChild child(folder / "t.h5", sample_info(i % 2 == 0 ? 7 : 1000));

    child.wait_for(1 + static_cast<int>(random() % 30));
    usleep(static_cast<useconds_t>(random() % 600));
    child.kill();

    const Trace trace = read_trace(folder / "t.h5");
    ASSERT_GE(trace.batches.size(), child.count());
    ASSERT_LE(trace.batches.size(), child.count() + 1);
    expect_sample_batches(trace);
    EXPECT_FALSE(trace.result.has_value());
  }
}

TEST(LiveTrace, KilledTraceCanBeReplaced) {
  const ScratchFolder folder;
  WritingChild child(folder / "t.h5", sample_info());
  child.wait_for(2);
  child.kill();

  TraceWriter(folder / "t.h5", sample_info()).finish(sample_result(sample_info(), 1));

  EXPECT_TRUE(read_trace(folder / "t.h5").result.has_value());
}

TEST(LiveTrace, WriterThatWasNotFinishedLeavesItsBatches) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();

  TraceWriter(folder / "t.h5", info).on_batch(sample_batch(info, 9, 0));
  const Trace trace = read_trace(folder / "t.h5");

  EXPECT_EQ(trace.batches.size(), 1U);
  EXPECT_FALSE(trace.result.has_value());
}

}  // namespace
}  // namespace shoal::trace
