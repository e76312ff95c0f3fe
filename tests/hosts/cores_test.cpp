// Cores and threads: what control groups, affinity masks and the ranks of a node leave to each rank.
#include "base/cores.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <fstream>

#include "agent/workers.hpp"

namespace shoal {
namespace {

namespace fs = std::filesystem;

/// A machine's /proc and /sys, made up.
class Quota : public testing::Test {
 protected:
  ~Quota() override { fs::remove_all(root_); }

  void write(const std::string& file, const std::string& content) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << content;
  }
  [[nodiscard]] double read() const { return cpu_quota(root_); }

 private:
  static fs::path make_root() {
    std::string pattern = (fs::temp_directory_path() / "shoal-cores-XXXXXX").string();
    return mkdtemp(pattern.data());
  }
  fs::path root_ = make_root();
};

TEST_F(Quota, IsInfiniteWithoutControlGroups) { EXPECT_EQ(read(), Cores::none); }

TEST_F(Quota, OfVersionTwoIsTheSmallestUpToTheRoot) {
  write("proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  write("sys/fs/cgroup/slurm/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/slurm/job_7/cpu.max", "250000 100000\n");
  write("sys/fs/cgroup/slurm/job_7/step_0/cpu.max", "400000 100000\n");
  EXPECT_EQ(read(), 2.5);
  write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(read(), 0.5);
}

TEST_F(Quota, OfVersionOneIsThatOfTheCpuController) {
  write("proc/self/cgroup", "5:cpuset:/a\n4:cpu,cpuacct:/a\n1:name=systemd:/a\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(read(), Cores::none);
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(read(), 3.0);
}

TEST_F(Quota, OfAContainerIsFoundThoughItsPathIsTheHosts) {
  write("proc/self/cgroup", "0::/kubepods/pod1/container2\n");
  write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(read(), 1.5);
}

TEST_F(Quota, IgnoresFilesThatItCannotRead) {
  write("proc/self/cgroup", "nonsense\n0::/x\n");
  write("sys/fs/cgroup/x/cpu.max", "lots\n");
  EXPECT_EQ(read(), Cores::none);
}

TEST(UsableCores, AreWholeAndAtLeastOne) {
  Cores cores;
  EXPECT_EQ(cores.usable(), 1);
  cores.mask[0] = 0xFF;
  cores.mask[3] = 0x0F;
  EXPECT_EQ(cores.usable(), 12);
  cores.quota = 2.9;
  EXPECT_EQ(cores.usable(), 2);
  cores.quota = 0.3;
  EXPECT_EQ(cores.usable(), 1);
  cores.quota = 64.0;
  EXPECT_EQ(cores.usable(), 12);
}

TEST(UsableCores, FollowTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(count(available_cores().mask), CPU_COUNT(&before));

  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(available_cores().usable(), 1);
  if (CPU_COUNT(&before) > 1) {
    EXPECT_NE(available_cores().describe().find("(affinity mask)"), std::string::npos);
  }
  sched_setaffinity(0, sizeof before, &before);
}

/// Sets and restores the variables that libgomp reads.
class Workers : public testing::Test {
 protected:
  Workers() {
    unsetenv("GOMP_SPINCOUNT");
    unsetenv("OMP_WAIT_POLICY");
  }
  ~Workers() override { setenv("OMP_WAIT_POLICY", "passive", 1); }
};

TEST_F(Workers, ThatSpinAreNeverMoreThanTheCores) {
  EXPECT_EQ(agent::cap_workers(4, 2, 1), 2);
  EXPECT_EQ(agent::cap_workers(4, 2, 2), 1);
  EXPECT_EQ(agent::cap_workers(4, 2, 3), 1);
  EXPECT_EQ(agent::cap_workers(4, 64, 8), 4);
  EXPECT_EQ(agent::cap_workers(16, 64, 8), 8);
}

TEST_F(Workers, ThatSleepMayBeAsManyAsAreAskedFor) {
  setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
  EXPECT_EQ(agent::cap_workers(4, 2, 2), 4);
  setenv("GOMP_SPINCOUNT", "1000", 1);
  EXPECT_EQ(agent::cap_workers(4, 2, 2), 1);
  setenv("GOMP_SPINCOUNT", "0", 1);
  EXPECT_EQ(agent::cap_workers(4, 2, 2), 4);
}

}  // namespace
}  // namespace shoal
