// Checkpoints come back as they were written, or are refused; a trace is continued from its mark, or is left alone.
#include "trace/checkpoint.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "shoal/error.hpp"
#include "trace/periodic_checkpoints.hpp"
#include "trace/sample.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace {
namespace {

namespace fs = std::filesystem;
using testing::difference;
using testing::sample_batch;
using testing::sample_info;
using testing::sample_result;
using testing::ScratchFolder;

Checkpoint sample_checkpoint(int particles = 7, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Checkpoint checkpoint;
  checkpoint.info = sample_info(particles);
  checkpoint.identity = {{"--particles", std::to_string(particles)}, {"--stop", "\n\xc3\xa4"}};
  checkpoint.info.fingerprint = fingerprint(checkpoint.identity);
  checkpoint.prompt = {TokenId{3}, TokenId{1}, TokenId{2}};
  checkpoint.trace = TraceMark{4, 0xfedcba9876543210ULL};
  smc::RunState& state = checkpoint.state;
  state.batches = 4;
  state.steps = 40;
  state.particle_tokens = 270;
  state.migration = {1, 2, 3, 4, 5};
  state.elapsed_s = 12.5;
  state.times = {1, 2, 3, 4, 5, 6};
  for (int i = 0; i < particles; ++i) {
    smc::HistoryState history;
    history.status = static_cast<smc::Status>(random() % 5);
    for (std::uint64_t t = random() % 60; t > 0; --t) history.tokens.emplace_back(static_cast<int>(random() % 50'000));
    history.text = std::string(random() % 100, '\xff') + std::string(1, '\0');
    history.stop_state = static_cast<std::uint32_t>(random());
    history.log_weight = i == 2 ? -std::numeric_limits<double>::infinity() : -static_cast<double>(random() % 99) / 7;
    history.death = {static_cast<std::uint32_t>(random() % 9), static_cast<int>(random() % 5) - 1};
    for (std::size_t k = 0; k < checkpoint.info.potentials.size(); ++k) {
      history.states.push_back(std::string(random() % 9, static_cast<char>(random())));
      history.values.push_back(-static_cast<double>(random() % 1000) / 3);
    }
    state.histories.push_back(std::move(history));
    state.history_of.push_back(static_cast<std::uint32_t>(random() % state.histories.size()));
  }
  return checkpoint;
}

void expect_same(const Checkpoint& a, const Checkpoint& b) {
  EXPECT_EQ(a.info, b.info);
  EXPECT_EQ(a.identity, b.identity);
  EXPECT_EQ(a.prompt, b.prompt);
  EXPECT_EQ(a.trace, b.trace);
  EXPECT_EQ(to_bytes(a.state), to_bytes(b.state));
}

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Checkpoint, ComesBackAsItWasWritten) {
  const ScratchFolder folder;
  for (const int particles : {1, 7, 1000}) {
    Checkpoint written = sample_checkpoint(particles, static_cast<std::uint64_t>(particles));
    if (particles == 1) written.trace.reset();
    write_checkpoint(folder / "c", written);
    expect_same(read_checkpoint(folder / "c"), written);
  }
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"c", "c.prev"}));
}

TEST(Checkpoint, TheOneBeforeIsKept) {
  const ScratchFolder folder;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) write_checkpoint(folder / "c", sample_checkpoint(7, seed));
  expect_same(read_checkpoint(folder / "c"), sample_checkpoint(7, 3));
  expect_same(read_checkpoint(folder / "c.prev"), sample_checkpoint(7, 2));
}

TEST(Checkpoint, OtherFilesAreNotReplaced) {
  const ScratchFolder folder;
  write_bytes(folder / "notes.txt", "precious");
  TraceWriter(folder / "t.h5", sample_info()).finish(sample_result(sample_info(), 1));
  for (const std::string name : {"notes.txt", "t.h5"}) {
    const std::string line = error_of([&] { check_checkpoint_target(folder / name); });
    EXPECT_NE(line.find("it exists and is no Shoal checkpoint"), std::string::npos) << line;
  }
  write_checkpoint(folder / "c", sample_checkpoint());
  EXPECT_EQ(error_of([&] { check_checkpoint_target(folder / "c"); }), "no error");
  EXPECT_NE(error_of([&] { (void)read_checkpoint(folder / "t.h5"); }).find("it is no Shoal checkpoint"),
            std::string::npos);
}

/// 0: as written; 1: refused with a line that names the one before; 2: anything else.
int outcome_of_reading(const std::string& path) {
  try {
    return to_bytes(read_checkpoint(path).state) == to_bytes(sample_checkpoint().state) ? 0 : 2;
  } catch (const IoError& error) {
    return std::string(error.what()).find("try --resume " + path + ".prev") != std::string::npos ? 1 : 2;
  }
}

/// In a child process, so that a crash or a hang is an outcome too.
int outcome_of(const std::string& path) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    std::exit(outcome_of_reading(path));
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

TEST(DamagedCheckpoint, IsRefusedOrAsWritten) {
  const char* wanted = std::getenv("SHOAL_TEST_DAMAGES");
  const ScratchFolder folder;
  const std::string path = folder / "c";
  write_checkpoint(path, sample_checkpoint());
  write_checkpoint(path, sample_checkpoint());
  const std::string bytes = read_bytes(path);
  std::mt19937_64 random(5);
  int refused = 0;
  for (int i = 0; i < (wanted == nullptr ? 150 : std::atoi(wanted)); ++i) {
    std::string damaged = bytes;
    const std::size_t at = random() % bytes.size();
    if (i % 3 == 0) damaged.resize(at);
    if (i % 3 == 1) damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1 + random() % 255));
    if (i % 3 == 2) damaged.replace(at, 4096, std::min<std::size_t>(4096, bytes.size() - at), '\0');
    write_bytes(path, damaged);
    const int outcome = outcome_of(path);
    ASSERT_LE(outcome, 1) << "damage " << i << " at " << at << " of " << bytes.size();
    refused += outcome;
  }
  EXPECT_GT(refused, 60);
}

TEST(CheckpointOnAFullDisk, IsOneErrorAndKeepsTheOnesBefore) {
  for (const rlim_t bytes : {0, 100, 5'000, 20'000}) {
    const ScratchFolder folder;
    for (std::uint64_t seed = 1; seed <= 2; ++seed) write_checkpoint(folder / "c", sample_checkpoint(7, seed));
    const pid_t child = fork();
    if (child == 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{bytes, bytes};
      setrlimit(RLIMIT_FSIZE, &limit);
      const std::string line = error_of([&] { write_checkpoint(folder / "c", sample_checkpoint(500)); });
      const bool clear = line.starts_with("cannot write the checkpoint " + (folder / "c") + " (File too large)");
      std::exit(clear ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << bytes;
    expect_same(read_checkpoint(folder / "c"), sample_checkpoint(7, 2));
    expect_same(read_checkpoint(folder / "c.prev"), sample_checkpoint(7, 1));
    EXPECT_EQ(folder.list(), (std::vector<std::string>{"c", "c.prev"}));
  }
}

TEST(RunIdentity, TheFirstDifferenceIsNamed) {
  const RunIdentity saved{{"--seed", "1"}, {"--stop", ""}};
  EXPECT_NO_THROW(require_same_run({{"--stop", ""}}, saved, "c"));
  EXPECT_EQ(
      error_of([&] {
        require_same_run({{"--stop", "x\ny"}}, saved, "c");
      }),
      "cannot resume from 'c' (--stop is 'x y', in the checkpoint it is not given) give what the run that wrote it "
      "was given");
  EXPECT_THROW(require_same_run({{"--new", "1"}}, saved, "c"), UsageError);
  EXPECT_NE(fingerprint(saved), fingerprint({{"--seed", "1"}, {"--stop", "x"}}));
}

// ---------------------------------------------------------------------------------------------- traces

/// A trace of @p batches batches whose writer was killed; the marks after each.
std::vector<TraceMark> killed_trace(const std::string& path, const TraceInfo& info, std::uint32_t batches) {
  {
    const pid_t child = fork();
    if (child == 0) {
      TraceWriter writer(path, info, &testing::sample_vocabulary());
      for (std::uint32_t b = 0; b < batches; ++b) writer.on_batch(sample_batch(info, 9, b));
      kill(getpid(), SIGKILL);
    }
    waitpid(child, nullptr, 0);
  }
  std::vector<TraceMark> marks;
  TraceWriter writer(path + ".again", info);
  marks.push_back(writer.sync());
  for (std::uint32_t b = 0; b < batches; ++b) {
    writer.on_batch(sample_batch(info, 9, b));
    marks.push_back(writer.sync());
  }
  return marks;
}

TEST(ContinuedTrace, KeepsWhatIsBeforeTheMarkAndGoesOn) {
  const TraceInfo info = sample_info();
  for (const std::uint32_t kept : {0U, 3U, 6U}) {
    const ScratchFolder folder;
    const auto marks = killed_trace(folder / "t.h5", info, 6);
    TraceInfo now = info;
    now.ranks = 5;
    now.command_line = "another one";
    {
      TraceWriter writer(folder / "t.h5", now, &testing::sample_vocabulary(), marks[kept]);
      EXPECT_EQ(writer.sync(), marks[kept]);
      EXPECT_EQ(read_trace(folder / "t.h5").batches.size(), kept);
      for (std::uint32_t b = kept; b < 8; ++b) writer.on_batch(sample_batch(info, 9, b));
      writer.finish(sample_result(info, 1));
    }
    const Trace trace = read_trace(folder / "t.h5");
    ASSERT_EQ(trace.batches.size(), 8U);
    for (std::uint32_t b = 0; b < 8; ++b) EXPECT_EQ(difference(trace.batches[b], sample_batch(info, 9, b)), "") << b;
    EXPECT_TRUE(trace.result.has_value());
    EXPECT_EQ(trace.info.command_line, info.command_line);
    EXPECT_EQ(trace.info.ranks, 5);
    EXPECT_FALSE(trace.token_bytes.empty());
  }
}

TEST(ContinuedTrace, ThatIsNotTheOneIsLeftAlone) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  const auto marks = killed_trace(folder / "t.h5", info, 4);
  const std::string before = read_bytes(folder / "t.h5");
  const auto refusal = [&](const TraceInfo& ours, const std::optional<TraceMark>& mark) {
    return error_of([&] { TraceWriter(folder / "t.h5", ours, nullptr, mark); });
  };
  TraceInfo other = info;
  other.fingerprint = "another run";
  EXPECT_NE(refusal(other, marks[2]).find("it is of another run"), std::string::npos);
  EXPECT_NE(refusal(info, TraceMark{5, 1}).find("it ends after 4 batches"), std::string::npos);
  EXPECT_NE(refusal(info, TraceMark{3, marks[2].hash}).find("are not those"), std::string::npos);
  EXPECT_NE(refusal(info, std::nullopt).find("wrote no trace"), std::string::npos);
  EXPECT_EQ(read_bytes(folder / "t.h5"), before);
}

TEST(TraceMark, DoesNotDependOnRanksAndTimes) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  TraceWriter a(folder / "a", info);
  TraceWriter b(folder / "b", info);
  smc::BatchRecord record = sample_batch(info, 9, 0);
  a.on_batch(record);
  record.time_s += 1.0;
  record.rank[0] += 1;
  record.migration.bytes += 1;
  b.on_batch(record);
  EXPECT_EQ(a.sync(), b.sync());
  record.log_weight[3] += 1e-9;
  a.on_batch(sample_batch(info, 9, 0));
  b.on_batch(record);
  EXPECT_NE(a.sync(), b.sync());
}

TEST(PeriodicCheckpoints, AreDueAfterTheirIntervalAndKnowTheTrace) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  TraceWriter trace(folder / "t.h5", info);
  PeriodicCheckpoints always(folder / "a", sample_checkpoint(), 0.0, &trace);
  PeriodicCheckpoints rarely(folder / "b", sample_checkpoint(), 3600.0, nullptr);
  trace.on_batch(sample_batch(info, 9, 0));

  EXPECT_TRUE(always.due());
  EXPECT_FALSE(rarely.due());
  always.write(sample_checkpoint().state);
  EXPECT_TRUE(always.due());
  EXPECT_EQ(read_checkpoint(folder / "a").trace, trace.sync());
}

}  // namespace
}  // namespace shoal::trace
