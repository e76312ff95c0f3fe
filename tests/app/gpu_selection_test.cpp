// --device and `shoal info` on nodes without GPUs, and on one whose driver shows GPUs that CUDA cannot start
// (fake_driver.cpp, found by LD_LIBRARY_PATH).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/program.hpp"

namespace shoal::test {
namespace {

const std::string fake_driver = std::string("LD_LIBRARY_PATH=") + SHOAL_FAKE_DRIVER;

ProgramResult answer(std::vector<std::string> options, int ranks, const std::string& environment) {
  options.insert(options.begin(), {"generate", "--prompt", "Hi", "--particles", "4", "--max-tokens", "4", "-q"});
  return run_shoal(options, ranks, "", environment);
}

TEST(GpuSelection, WithoutADriverAutoIsTheCpuAndCudaAnError) {
  EXPECT_EQ(answer({}, 0, "").err, "");
  const ProgramResult cuda = answer({"--device", "cuda"}, 0, "");
  EXPECT_EQ(cuda.exit_code, 2);
  EXPECT_EQ(cuda.err,
            "shoal: error: --device cuda is not available (no NVIDIA driver: libcuda.so.1 is not there) use --device "
            "cpu\n");
  const ProgramResult guide = answer({"--use-gpu-monte-carlo"}, 0, "");
  EXPECT_EQ(guide.exit_code, 0);
  EXPECT_EQ(count(guide.err, "no GPU is used (no NVIDIA driver"), 1) << guide.err;
}

TEST(GpuSelection, RanksSpeakOnce) {
  const ProgramResult guide = answer({"--use-gpu-monte-carlo"}, 2, "");
  EXPECT_EQ(guide.exit_code, 0);
  EXPECT_EQ(count(guide.err, "no GPU is used"), 1) << guide.err;
  EXPECT_EQ(count(answer({"--device", "cuda"}, 2, "").err, "--device cuda is not available"), 1);
}

TEST(GpuSelection, InfoListsWhatTheDriverShows) {
  const auto info = nlohmann::json::parse(run_shoal({"info", "--json"}, 0, "", fake_driver).out);

  ASSERT_EQ(info["gpus"].size(), 2U);
  EXPECT_EQ(info["gpus"][1]["name"], "Imaginary H200");
  EXPECT_EQ(info["gpus"][1]["compute_capability"], 9.0);
  EXPECT_NE(info["cuda"].get<std::string>().find("not used"), std::string::npos);
}

/// Whether or not this build has the plugin.
TEST(GpuSelection, AGpuThatCannotBeUsedIsSaidWhyAndAutoFallsBack) {
  const ProgramResult cuda = answer({"--device", "cuda"}, 0, fake_driver);
  EXPECT_EQ(cuda.exit_code, 2);
  EXPECT_EQ(count(cuda.err, "CUDA does not start") + count(cuda.err, "the CUDA plugin libshoal_cuda.so is not there"),
            1)
      << cuda.err;
  EXPECT_EQ(answer({}, 0, fake_driver).exit_code, 0);
  EXPECT_EQ(answer({}, 0, "").out, answer({}, 0, fake_driver).out);
}

TEST(GpuSelection, AnOldOrAbsentGpuIsNamed) {
  EXPECT_EQ(count(answer({"--device", "cuda"}, 0, fake_driver + " SHOAL_FAKE_CAPABILITY=7").err,
                  "the GPU Imaginary H200 is too old: compute capability 7.0, 8.0 is needed"),
            1);
  EXPECT_EQ(
      count(answer({"--device", "cuda"}, 0, fake_driver + " SHOAL_FAKE_GPUS=0").err, "the NVIDIA driver shows no GPU"),
      1);
}

TEST(GpuSelection, AFileThatIsNotThePluginIsRefused) {
  const ProgramResult other =
      answer({"--device", "cuda"}, 0, fake_driver + " SHOAL_CUDA_PLUGIN=" + SHOAL_FAKE_DRIVER + "/libcuda.so.1");
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_EQ(count(other.err, "is not Shoal's CUDA plugin"), 1) << other.err;
}

TEST(GpuSelection, F32IsForTheCpu) {
  const ProgramResult f32 = answer({"--device", "cuda", "--dtype", "f32"}, 0, "");
  EXPECT_EQ(f32.exit_code, 2);
  EXPECT_EQ(count(f32.err, "--dtype f32 is not available with --device cuda"), 1) << f32.err;
}

TEST(GpuSelection, KeysAndValuesInEightBitsAreForTheCpu) {
  const ProgramResult kv = answer({"--device", "cuda", "--kv-dtype", "int8"}, 0, fake_driver);
  EXPECT_EQ(kv.exit_code, 2);
  EXPECT_EQ(count(kv.err, "--kv-dtype int8 is not available with --device cuda"), 1) << kv.err;
}

}  // namespace
}  // namespace shoal::test
