// Children of a sweep: how they end, where their output goes, what they see of an MPI job.
#include "app/child_process.hpp"

#include <gtest/gtest.h>

#include "app/program.hpp"

namespace shoal::app {
namespace {

using test::read_all;
using test::TemporaryFolder;

TEST(ChildProcess, GivesOutputAndExitCode) {
  const TemporaryFolder folder;
  ChildProcess child({"sh", "-c", "cat; echo out; echo err >&2; exit 7"}, folder.path("out"), folder.path("err"));

  ASSERT_TRUE(child.wait(30.0));
  EXPECT_EQ(child.exit_code(), 7);
  EXPECT_EQ(read_all(folder.path("out")), "out\n");
  EXPECT_EQ(read_all(folder.path("err")), "err\n");
}

TEST(ChildProcess, EndsAsAShellSaysIt) {
  const TemporaryFolder folder;
  ChildProcess missing({"/nonexistent/program"}, folder.path("out"), folder.path("err"));
  ChildProcess killed({"sh", "-c", "kill -KILL $$"}, folder.path("out"), folder.path("err"));

  ASSERT_TRUE(missing.wait(30.0));
  EXPECT_EQ(missing.exit_code(), 127);
  ASSERT_TRUE(killed.wait(30.0));
  EXPECT_EQ(killed.exit_code(), 137);
}

TEST(ChildProcess, CanBeAskedToEnd) {
  const TemporaryFolder folder;
  ChildProcess child({"sleep", "1000"}, folder.path("out"), folder.path("err"));
  ASSERT_FALSE(child.wait(0.05));

  child.ask_to_end();

  ASSERT_TRUE(child.wait(30.0));
  EXPECT_EQ(child.exit_code(), 143);
}

TEST(ChildProcess, HidesTheJobButNotTheSettings) {
  const std::vector<std::string> environment{"PATH=/bin",
                                             "OMPI_COMM_WORLD_RANK=0",
                                             "OMPI_MCA_ess=env",
                                             "OMPI_MCA_orte_hnp_uri=tcp://",
                                             "OMPI_MCA_rmaps_base_oversubscribe=1",
                                             "OMPI_ALLOW_RUN_AS_ROOT=1",
                                             "PMIX_RANK=0",
                                             "PMI_FD=3",
                                             "PRTE_MCA_plm=ssh",
                                             "PRTE_LAUNCHED=1",
                                             "SLURM_JOB_ID=9",
                                             "SHOAL_SEED=1"};

  EXPECT_EQ(environment_for_new_job(environment),
            (std::vector<std::string>{"PATH=/bin", "OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_ALLOW_RUN_AS_ROOT=1",
                                      "PRTE_MCA_plm=ssh", "SLURM_JOB_ID=9", "SHOAL_SEED=1"}));
}

}  // namespace
}  // namespace shoal::app
