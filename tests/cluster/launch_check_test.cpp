// srun without PMI: P processes that each believe they are alone.
#include "cluster/launch_check.hpp"

#include <gtest/gtest.h>

#include <map>

namespace shoal::cluster {
namespace {

LaunchProblem problem(int world_size, const std::map<std::string, std::string>& variables) {
  return launch_problem(world_size, [&](const char* name) {
    const auto at = variables.find(name);
    return at == variables.end() ? nullptr : at->second.c_str();
  });
}

TEST(LaunchCheck, SrunWithoutPmiIsRefusedByItsFirstTaskAlone) {
  const LaunchProblem first = problem(1, {{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "0"}});
  const LaunchProblem second = problem(1, {{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "1"}});
  EXPECT_NE(first.line.find("srun started 4 tasks"), std::string::npos);
  EXPECT_TRUE(first.speaks);
  EXPECT_FALSE(second.line.empty());
  EXPECT_FALSE(second.speaks);
}

TEST(LaunchCheck, EverythingElseIsAccepted) {
  EXPECT_EQ(problem(1, {}).line, "");
  EXPECT_EQ(problem(4, {{"SLURM_STEP_NUM_TASKS", "4"}}).line, "");
  EXPECT_EQ(problem(1, {{"SLURM_STEP_NUM_TASKS", "1"}}).line, "");
  EXPECT_EQ(problem(1, {{"SLURM_STEP_NUM_TASKS", "2"}, {"OMPI_COMM_WORLD_SIZE", "1"}}).line, "");
  EXPECT_EQ(problem(1, {{"SLURM_STEP_NUM_TASKS", "2"}, {"SHOAL_ALONE", "1"}}).line, "");
}

}  // namespace
}  // namespace shoal::cluster
