// Every bad path and full disk is one IoError line, and leaves nothing behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "shoal/error.hpp"
#include "trace/sample.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace {
namespace {

namespace fs = std::filesystem;
using testing::sample_batch;
using testing::sample_info;
using testing::sample_result;
using testing::ScratchFolder;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

/// The message of the IoError that @p action throws, which must be one line; empty if it throws none.
std::string io_error(const std::function<void()>& action) {
  CaptureStderr();
  std::string line;
  try {
    action();
  } catch (const IoError& error) {
    line = error.what();
  }
  EXPECT_EQ(GetCapturedStderr(), "") << "HDF5 must not print";
  EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  return line;
}

std::string write_error(const std::string& path) {
  return io_error([&] { TraceWriter(path, sample_info()).finish(sample_result(sample_info(), 1)); });
}

std::string read_error(const std::string& path) {
  return io_error([&] { read_trace(path); });
}

void expect_says(const std::string& line, const std::string& start, const std::string& reason) {
  EXPECT_EQ(line.substr(0, start.size()), start);
  EXPECT_NE(line.find("(" + reason), std::string::npos) << line;
  EXPECT_FALSE(line.ends_with(')')) << "says no way out: " << line;
}

void expect_cannot_write(const std::string& path, const std::string& reason) {
  expect_says(write_error(path), "cannot write the trace " + (path.empty() ? "''" : path) + " (", reason);
}

void expect_cannot_read(const std::string& path, const std::string& reason) {
  expect_says(read_error(path), "cannot read the trace " + path + " (", reason);
}

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

/// Runs @p body in a child process; its exit code.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) std::exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Files cannot grow beyond @p bytes: what a full disk does, without one.
void limit_files(rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{bytes, bytes};
  setrlimit(RLIMIT_FSIZE, &limit);
}

TEST(BadPath, WriterSaysWhy) {
  const ScratchFolder folder;
  expect_cannot_write("", "the name is empty");
  expect_cannot_write(folder / "missing/t.h5", "no such folder");
  expect_cannot_write(folder.path(), "it is a folder");
  expect_cannot_write("/dev/full", "it is no regular file");
  write_file(folder / "plain", "x");
  expect_cannot_write(folder / "plain/t.h5", folder / "plain" + " is no folder");
  EXPECT_EQ(folder.list(), std::vector<std::string>{"plain"});
}

TEST(BadPath, FilesThatAreNoTraceAreKept) {
  const ScratchFolder folder;
  write_file(folder / "notes.txt", "precious");
  H5Fclose(H5Fcreate((folder / "other.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  const std::string other = content(folder / "other.h5");

  expect_cannot_write(folder / "notes.txt", "it exists and is no Shoal trace");
  expect_cannot_write(folder / "other.h5", "it exists and is no Shoal trace");

  EXPECT_EQ(content(folder / "notes.txt"), "precious");
  EXPECT_EQ(content(folder / "other.h5"), other);
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"notes.txt", "other.h5"}));
}

TEST(BadPath, EmptyFilesAndEarlierTracesAreReplaced) {
  const ScratchFolder folder;
  write_file(folder / "t.h5", "");
  EXPECT_EQ(write_error(folder / "t.h5"), "");
  EXPECT_EQ(write_error(folder / "t.h5"), "");
  EXPECT_TRUE(read_trace(folder / "t.h5").result.has_value());
}

TEST(BadPath, LinkStaysALink) {
  const ScratchFolder folder;
  fs::create_directory(folder / "data");
  write_file(folder / "data/real.h5", "");
  fs::create_symlink("data/real.h5", folder / "t.h5");

  EXPECT_EQ(write_error(folder / "t.h5"), "");

  EXPECT_TRUE(fs::is_symlink(folder / "t.h5"));
  EXPECT_TRUE(read_trace(folder / "data/real.h5").result.has_value());
}

TEST(BadPath, SecondRunOnTheSameTraceIsRefused) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  TraceWriter first(folder / "t.h5", info);
  first.on_batch(sample_batch(info, 1, 0));

  expect_cannot_write(folder / "t.h5", "another program is using it");

  first.on_batch(sample_batch(info, 1, 1));
  first.finish(sample_result(info, 1));
  EXPECT_EQ(read_trace(folder / "t.h5").batches.size(), 2U);
  EXPECT_EQ(write_error(folder / "t.h5"), "") << "free again once the first has ended";
}

TEST(BadPath, WorksWithLocksSwitchedOff) {
  const int code = in_child([] {
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    const ScratchFolder folder;
    TraceWriter first(folder / "t.h5", sample_info());
    first.on_batch(sample_batch(sample_info(), 1, 0));
    return read_trace(folder / "t.h5").batches.size() == 1 ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
}

TEST(BadPath, FolderWithoutPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  const ScratchFolder folder;
  chmod(folder.path().c_str(), 0500);
  expect_cannot_write(folder / "t.h5", folder.path() + ": Permission denied");
  chmod(folder.path().c_str(), 0700);
}

TEST(FullDisk, AtTheStartKeepsWhatWasThere) {
  const ScratchFolder folder;
  EXPECT_EQ(write_error(folder / "t.h5"), "");
  const std::string before = content(folder / "t.h5");
  const int code = in_child([&] {
    limit_files(10'000);
    expect_cannot_write(folder / "t.h5", "File too large");
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(content(folder / "t.h5"), before);
  EXPECT_EQ(folder.list(), std::vector<std::string>{"t.h5"});
}

/// Writes batches until the limit is hit; stderr goes to a file, also what HDF5 says when the process ends.
int write_into_full_disk(const ScratchFolder& folder) {
  if (std::freopen((folder / "stderr").c_str(), "w", stderr) == nullptr) return 3;
  limit_files(200'000);
  const TraceInfo info = sample_info(100);
  TraceWriter writer(folder / "t.h5", info);
  for (std::uint32_t b = 0; b < 1000; ++b) {
    try {
      writer.on_batch(sample_batch(info, 1, b));
    } catch (const IoError& error) {
      const std::string line = error.what();
      const bool clear = line.starts_with("cannot write batch " + std::to_string(b)) &&
                         line.find("(File too large)") != std::string::npos;
      std::ofstream(folder / "written") << b;
      return clear ? 0 : 1;
    }
  }
  return 2;
}

TEST(FullDisk, DuringTheRunIsOneErrorAndKeepsTheBatches) {
  const ScratchFolder folder;

  EXPECT_EQ(in_child([&] { return write_into_full_disk(folder); }), 0);

  EXPECT_EQ(content(folder / "stderr"), "");
  const std::size_t written = std::stoul(content(folder / "written"));
  const Trace trace = read_trace(folder / "t.h5");
  ASSERT_GT(written, 5U);
  ASSERT_GE(trace.batches.size() + 1, written);
  for (std::size_t b = 0; b < trace.batches.size(); ++b)
    EXPECT_EQ(testing::difference(trace.batches[b], sample_batch(trace.info, 1, static_cast<std::uint32_t>(b))), "");
}

/// A whole run on a disk that may be full at any point: 0 if it ends well or with an IoError.
int run_on_limited_disk(const std::string& path, rlim_t bytes) {
  limit_files(bytes);
  const TraceInfo info = sample_info(100);
  try {
    TraceWriter writer(path, info, &testing::sample_vocabulary());
    for (std::uint32_t b = 0; b < 10; ++b) writer.on_batch(sample_batch(info, 1, b));
    writer.finish(sample_result(info, 1));
  } catch (const IoError&) {
    return 0;
  }
  return 0;
}

TEST(FullDisk, AtAnyMomentNeverCrashesAndNeverLeavesHalfAFile) {
  int readable = 0;
  for (rlim_t bytes = 0; bytes < 160'000; bytes += 2'500) {
    const ScratchFolder folder;
    ASSERT_EQ(in_child([&] { return run_on_limited_disk(folder / "t.h5", bytes); }), 0) << bytes;
    if (folder.list().empty()) continue;
    ASSERT_EQ(folder.list(), std::vector<std::string>{"t.h5"}) << bytes;
    ASSERT_NO_THROW(read_trace(folder / "t.h5")) << bytes;
    ++readable;
  }
  EXPECT_GT(readable, 20);
}

/// What a broken disk does: the descriptor under HDF5's feet no longer takes writes.
void break_descriptors_of(const std::string& path) {
  for (int fd = 3; fd < 64; ++fd) {
    std::error_code error;
    if (fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error) != fs::path(path)) continue;
    const int read_only = open(path.c_str(), O_RDONLY);
    dup2(read_only, fd);
    close(read_only);
  }
}

TEST(BrokenDisk, DuringTheRunIsOneErrorAndKeepsTheBatches) {
  const ScratchFolder folder;
  const int code = in_child([&] {
    const TraceInfo info = sample_info(1000);
    TraceWriter writer(folder / "t.h5", info);
    writer.on_batch(sample_batch(info, 1, 0));
    break_descriptors_of(folder / "t.h5");
    const std::string line = io_error([&] { writer.on_batch(sample_batch(info, 1, 1)); });
    expect_says(line, "cannot write batch 1 to the trace ", "Bad file descriptor");
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(read_trace(folder / "t.h5").batches.size(), 1U);
}

TEST(FullDisk, AtTheEndKeepsTheBatches) {
  const ScratchFolder folder;
  const int code = in_child([&] {
    const TraceInfo info = sample_info();
    TraceWriter writer(folder / "t.h5", info);
    writer.on_batch(sample_batch(info, 1, 0));
    limit_files(fs::file_size(folder / "t.h5") + 500);
    const std::string line = io_error([&] { writer.finish(sample_result(info, 1)); });
    expect_says(line, "cannot add the result to the trace ", "File too large");
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(folder.list(), std::vector<std::string>{"t.h5"});
  EXPECT_EQ(read_trace(folder / "t.h5").batches.size(), 1U);
}

TEST(BadPath, ReaderSaysWhy) {
  const ScratchFolder folder;
  write_file(folder / "notes.txt", "no trace");
  write_file(folder / "empty", "");
  H5Fclose(H5Fcreate((folder / "other.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));

  expect_cannot_read(folder / "missing.h5", "no such file");
  expect_cannot_read(folder.path(), "it is a folder");
  expect_cannot_read("/dev/null", "it is no regular file");
  expect_cannot_read(folder / "notes.txt", "it is no HDF5 file");
  expect_cannot_read(folder / "empty", "it is no HDF5 file");
  expect_cannot_read(folder / "other.h5", "it is no Shoal trace");
}

TEST(BadPath, OtherFormatVersionIsRefused) {
  const ScratchFolder folder;
  EXPECT_EQ(write_error(folder / "t.h5"), "");
  const hid_t file = H5Fopen((folder / "t.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t attribute = H5Aopen(file, "format_version", H5P_DEFAULT);
  const int version = 99;
  H5Awrite(attribute, H5T_NATIVE_INT, &version);
  H5Aclose(attribute);
  H5Fclose(file);

  expect_cannot_read(folder / "t.h5", "its format version is 99, this program reads version 1");
}

}  // namespace
}  // namespace shoal::trace
