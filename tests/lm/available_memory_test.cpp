#include "lm/available_memory.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <limits>

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

/// A machine's /proc and /sys, made up.
class AvailableMemory : public testing::Test {
 protected:
  ~AvailableMemory() override { fs::remove_all(root_); }

  void write(const std::string& file, const std::string& content) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << content;
  }
  [[nodiscard]] std::uint64_t read() const { return available_memory(root_); }

 private:
  static fs::path make_root() {
    std::string pattern = (fs::temp_directory_path() / "shoal-memory-XXXXXX").string();
    return mkdtemp(pattern.data());
  }
  fs::path root_ = make_root();
};

TEST_F(AvailableMemory, IsUnlimitedIfTheSystemDoesNotTell) {
  EXPECT_EQ(read(), std::numeric_limits<std::uint64_t>::max());
}

TEST_F(AvailableMemory, IsTheNodesEstimate) {
  write("proc/meminfo", "MemTotal:       1000 kB\nMemFree:   10 kB\nMemAvailable:    300 kB\n");
  EXPECT_EQ(read(), 300U * 1024);
}

TEST_F(AvailableMemory, OfVersionTwoIsWhatTheTightestGroupLeaves) {
  write("proc/meminfo", "MemAvailable: 1000 kB\n");
  write("proc/self/cgroup", "0::/slurm/job_7\n");
  write("sys/fs/cgroup/slurm/memory.max", "max\n");
  write("sys/fs/cgroup/slurm/job_7/memory.max", "500000\n");
  write("sys/fs/cgroup/slurm/job_7/memory.current", "400000\n");
  EXPECT_EQ(read(), 100'000U);
  write("sys/fs/cgroup/slurm/job_7/memory.stat", "anon 1\ninactive_file 50000\n");  // can be dropped
  EXPECT_EQ(read(), 150'000U);
  write("sys/fs/cgroup/slurm/memory.max", "90000\n");
  write("sys/fs/cgroup/slurm/memory.current", "95000\n");
  EXPECT_EQ(read(), 0U);
}

TEST_F(AvailableMemory, OfVersionOneIsThatOfTheMemoryController) {
  write("proc/meminfo", "MemAvailable: 1000 kB\n");
  write("proc/self/cgroup", "4:memory:/job\n3:cpu:/other\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "300000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "250000\n");
  write("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 20000\n");
  EXPECT_EQ(read(), 70'000U);
}

TEST_F(AvailableMemory, OfThisMachineIsAPlausibleNumber) {
  EXPECT_GT(available_memory(), std::uint64_t{1} << 20U);
  EXPECT_LT(available_memory(), std::uint64_t{1} << 50U);
}

}  // namespace
}  // namespace shoal::lm
