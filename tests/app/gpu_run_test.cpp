// `shoal generate --device cuda` from end to end on emulated GPUs: a driver that shows them (fake_driver.cpp), and the
// plugin's own code over an emulated CUDA and an NCCL that goes over MPI (tests/lm/cuda). Whatever the GPUs, links and
// micro-batches, the answer is the same.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/program.hpp"
#include "random_checkpoint.hpp"

namespace shoal::test {
namespace {

struct Answer {
  int exit_code = 0;
  std::string particles;  ///< with their texts and log-weights
  std::string log;
  std::string err;
};

class GpuRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = new TemporaryFolder;
    std::filesystem::create_directory(folder->path("model"));
    bench::write_random_checkpoint({"tiny", 2, 64, 544, 4, 2, 600, false}, folder->path("model"));
  }
  static void TearDownTestSuite() { delete folder; }

  /// A run that resamples at every batch, on @p gpus that its ranks take in turn.
  static Answer answer(int ranks, int gpus, const std::vector<std::string>& more = {}, const std::string& set = "") {
    const std::string log = folder->path("run.log");
    std::filesystem::remove(log);
    std::vector<std::string> options{"generate",
                                     "--model",
                                     folder->path("model"),
                                     "--prompt",
                                     "ab",
                                     "--device",
                                     "cuda",
                                     "--particles",
                                     "11",
                                     "--max-tokens",
                                     "22",
                                     "--ess-threshold",
                                     "2",
                                     "--seed",
                                     "3",
                                     "--batch-size",
                                     "5",
                                     "--style",
                                     folder->write("style.json", style),
                                     "--json",
                                     "--quiet",
                                     "--migrate",
                                     "kv",
                                     "--spare",
                                     "0",
                                     "--log-level",
                                     "debug",
                                     "--log-file",
                                     log};
    options.insert(options.end(), more.begin(), more.end());
    const ProgramResult result =
        run_shoal(options, ranks, "",
                  "LD_LIBRARY_PATH=" SHOAL_FAKE_DRIVER " SHOAL_CUDA_PLUGIN=" SHOAL_EMULATED_PLUGIN " SHOAL_FAKE_GPUS=" +
                      std::to_string(gpus) + " " + set);
    const auto json = nlohmann::json::parse(result.out, nullptr, false);
    return {result.exit_code, json.is_object() ? json["particles"].dump() : "", read_all(log), result.err};
  }

  static constexpr const char* style =
      R"({"name": "s", "patterns": [{"pattern": "[a-f]", "log_weight": 0.7}, {"pattern": "[xyz0-9]", "log_weight": -0.9}]})";
  static constexpr const char* over_nccl = "ranks exchange particles over NCCL";
  static constexpr const char* over_mpi = "ranks exchange particles over MPI";
  static TemporaryFolder* folder;
};
TemporaryFolder* GpuRun::folder = nullptr;

TEST_F(GpuRun, HasTheSameBitsOverNcclAndMpiInAnyNumberOfParts) {
  const Answer alone = answer(0, 1, {"--workers", "1"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_EQ(count(alone.log, "ranks exchange"), 0) << alone.log;
  EXPECT_EQ(answer(0, 1, {"--workers", "3"}).particles, alone.particles);
  for (const int ranks : {2, 3, 4}) {
    const std::string workers = std::to_string(ranks % 2 + 1);
    const Answer nccl = answer(ranks, 4, {"--workers", workers});
    EXPECT_EQ(count(nccl.log, over_nccl), 1) << nccl.log << nccl.err;
    EXPECT_GT(count(nccl.log, "moved "), count(nccl.log, "moved 0 ")) << nccl.log;
    EXPECT_EQ(nccl.particles, alone.particles) << ranks << " ranks";
  }
  const Answer mpi = answer(3, 2);
  EXPECT_EQ(count(mpi.log, over_mpi), 1) << mpi.log << mpi.err;
  EXPECT_EQ(mpi.particles, alone.particles);
}

TEST_F(GpuRun, RelaysOverNcclWhatGoesToManyRanks) {
  std::string patterns;  // which letters a text has decides, so that one text outweighs all others
  for (int i = 0; i < 26; ++i)
    patterns += std::string(i > 0 ? "," : "") + R"({"pattern": ")" + static_cast<char>('a' + i) +
                R"(", "log_weight": )" + std::to_string(7 + i * 11 % 26) + "}";
  const std::vector<std::string> one_wins{
      "--style", folder->write("one_wins.json", R"({"name": "w", "patterns": [)" + patterns + "]}")};
  const Answer alone = answer(0, 1, one_wins);
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  for (const int ranks : {4, 6}) {
    const Answer nccl = answer(ranks, 6, one_wins);
    EXPECT_EQ(count(nccl.log, over_nccl), 1) << nccl.log << nccl.err;
    const int others = 11 - (11 + ranks - 1) / ranks;  // of the largest rank, whose particle has all children
    EXPECT_GT(count(nccl.log, "moved " + std::to_string(others)), 0) << nccl.log;
    EXPECT_EQ(nccl.particles, alone.particles) << ranks << " ranks";
  }
  std::vector<std::string> saves = one_wins;  // at the end of every batch: what is relayed has been sent on before
  saves.insert(saves.end(), {"--checkpoint", folder->path("state.h5"), "--checkpoint-interval", "0"});
  const Answer saved = answer(6, 6, saves);
  EXPECT_EQ(count(saved.log, over_nccl), 1) << saved.log << saved.err;
  EXPECT_EQ(saved.particles, alone.particles);
}

TEST_F(GpuRun, SaysThatTheDriverIsOlderThanTheBuild) {
  const Answer old = answer(0, 1, {}, "SHOAL_FAKE_DRIVER_VERSION=11080");
  EXPECT_EQ(old.exit_code, 2);
  EXPECT_EQ(count(old.err, "the NVIDIA driver is too old: it is for CUDA 11.8, this build needs 1"), 1) << old.err;
}

TEST_F(GpuRun, GoesOnWhileBlocksTravel) {
  const Answer alone = answer(0, 1), late = answer(2, 2, {}, "SHOAL_FAKE_NCCL_LATE=3000");
  EXPECT_EQ(count(late.log, over_nccl), 1) << late.log;
  EXPECT_EQ(late.particles, alone.particles);
}

TEST_F(GpuRun, UsesMpiWhereNcclDoesNotComeUp) {
  const Answer alone = answer(0, 1), refused = answer(2, 2, {}, "SHOAL_FAKE_NCCL_REFUSES=1");
  EXPECT_EQ(refused.particles, alone.particles);
  EXPECT_EQ(count(refused.err, "over MPI: NCCL does not work here"), 1) << refused.err;
}

TEST_F(GpuRun, EndsWithOneLineWhenTheLinksBreak) {
  for (const char* where : {"0:1", "1:9"}) {
    const Answer broken = answer(2, 2, {}, std::string("SHOAL_FAKE_NCCL_BREAKS=") + where);
    EXPECT_EQ(broken.exit_code, 75) << broken.err;
    EXPECT_EQ(broken.particles, "");
    EXPECT_EQ(count(broken.err, "the GPUs of the ranks cannot reach each other"), 1) << where << ": " << broken.err;
  }
}

}  // namespace
}  // namespace shoal::test
