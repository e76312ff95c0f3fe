// Which processor the ranks choose, from what their nodes offer.
#include "agent/device.hpp"

#include <gtest/gtest.h>

#include "agent/workers.hpp"
#include "shoal/error.hpp"

namespace shoal::agent {
namespace {

GpuOffer gpus_of(const std::string& host, int rank_on_node, int gpus, const std::string& kind = "H200") {
  return {host, rank_on_node, gpus, kind, host + std::to_string(rank_on_node % gpus), ""};
}
GpuOffer nothing_on(const std::string& host) { return {host, 0, 0, "", "", "no NVIDIA driver"}; }

constexpr auto cuda = Device::Kind::cuda;
constexpr auto cpu = Device::Kind::cpu;

std::string refusal(DeviceWish wish, const std::vector<GpuOffer>& offers) {
  try {
    (void)choose_device(wish, offers, Rank{0});
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(ChooseDevice, RanksOfANodeTakeItsGpusInTurn) {
  const std::vector<GpuOffer> offers{gpus_of("a", 0, 2), gpus_of("a", 1, 2), gpus_of("a", 2, 2), gpus_of("b", 0, 1)};
  for (const DeviceWish wish : {DeviceWish::automatic, DeviceWish::cuda, DeviceWish::cuda_if_any}) {
    const int expected[] = {0, 1, 0, 0}, ranks[] = {2, 1, 2, 1};
    for (int r = 0; r < 4; ++r) {
      const DeviceChoice choice = choose_device(wish, offers, Rank{r});
      EXPECT_EQ(choice.device.kind, cuda);
      EXPECT_EQ(choice.device.gpu, expected[r]);
      EXPECT_EQ(choice.device.ranks, ranks[r]);
      EXPECT_EQ(choice.note, "");
      EXPECT_FALSE(choice.gpu_for_each);
    }
  }
}

TEST(ChooseDevice, SaysWhetherEveryRankHasAGpuOfItsOwn) {
  const std::vector<GpuOffer> offers{gpus_of("a", 0, 2), gpus_of("a", 1, 2), gpus_of("b", 0, 1)};
  for (int r = 0; r < 3; ++r) EXPECT_TRUE(choose_device(DeviceWish::cuda, offers, Rank{r}).gpu_for_each);
  EXPECT_FALSE(choose_device(DeviceWish::cpu, offers, Rank{0}).gpu_for_each);

  std::vector<GpuOffer> shared{gpus_of("a", 0, 1), gpus_of("a", 1, 1)};
  EXPECT_FALSE(choose_device(DeviceWish::cuda, shared, Rank{0}).gpu_for_each);
  shared[1].nccl_host = "b";  // NCCL is told that these are two hosts
  EXPECT_TRUE(choose_device(DeviceWish::cuda, shared, Rank{0}).gpu_for_each);
  EXPECT_EQ(choose_device(DeviceWish::cuda, shared, Rank{0}).device.ranks, 2);
}

TEST(ChooseMicroBatches, AreTwoForEachGpuUnlessToldOtherwise) {
  const auto on_gpu = [](int ranks) { return Device{Device::Kind::cuda, 0, ranks}; };
  EXPECT_EQ(choose_micro_batches(0, on_gpu(1)), 2);
  EXPECT_EQ(choose_micro_batches(0, on_gpu(2)), 1);
  EXPECT_EQ(choose_micro_batches(0, on_gpu(3)), 1);
  EXPECT_EQ(choose_micro_batches(4, on_gpu(2)), 4);
  EXPECT_EQ(choose_micro_batches(4, {}), 0);
}

TEST(ChooseDevice, TheCpuIfItIsAskedFor) {
  EXPECT_EQ(choose_device(DeviceWish::cpu, std::vector{gpus_of("a", 0, 8)}, Rank{0}).device.kind, cpu);
}

TEST(ChooseDevice, WithoutGpusAutomaticIsSilentAndTheGuidesOptionSaysWhy) {
  const std::vector<GpuOffer> offers{nothing_on("a"), nothing_on("b")};

  const auto automatic = choose_device(DeviceWish::automatic, offers, Rank{1});
  EXPECT_EQ(automatic.device.kind, cpu);
  EXPECT_EQ(automatic.note, "");
  const auto guide = choose_device(DeviceWish::cuda_if_any, offers, Rank{1});
  EXPECT_EQ(guide.device.kind, cpu);
  EXPECT_EQ(guide.note, "--use-gpu-monte-carlo: no GPU is used (rank 0 on a: no NVIDIA driver), running on the CPU");
  EXPECT_EQ(refusal(DeviceWish::cuda, offers),
            "--device cuda is not available (rank 0 on a: no NVIDIA driver) use --device cpu");
}

TEST(ChooseDevice, OneNodeWithoutGpusIsNamed) {
  const std::vector<GpuOffer> offers{gpus_of("a", 0, 1), nothing_on("b")};

  const auto automatic = choose_device(DeviceWish::automatic, offers, Rank{0});
  EXPECT_EQ(automatic.device.kind, cpu);
  EXPECT_NE(automatic.note.find("rank 1 on b: no NVIDIA driver"), std::string::npos);
  EXPECT_NE(refusal(DeviceWish::cuda, offers).find("rank 1 on b"), std::string::npos);
}

TEST(ChooseDevice, GpusOfTwoKindsAreNotMixed) {
  const std::vector<GpuOffer> offers{gpus_of("a", 0, 1), gpus_of("b", 0, 1, "A100")};

  EXPECT_EQ(choose_device(DeviceWish::automatic, offers, Rank{0}).device.kind, cpu);
  EXPECT_NE(refusal(DeviceWish::cuda, offers).find("H200 on a, A100 on b"), std::string::npos);
}

TEST(ChooseDevice, AModelThatNoGpuComputesRunsOnTheCpuWithALineThatSaysWhy) {
  const std::vector<GpuOffer> offers{gpus_of("a", 0, 1)};
  const auto choose = [&](DeviceWish wish) { return choose_device(wish, offers, Rank{0}, "no GPU computes in f32"); };

  EXPECT_EQ(choose(DeviceWish::automatic).device.kind, cpu);
  EXPECT_EQ(choose(DeviceWish::automatic).note,
            "all ranks run on the CPU (no GPU computes in f32); --device cpu says so from the start");
  EXPECT_NE(choose(DeviceWish::cuda_if_any).note.find("no GPU computes in f32"), std::string::npos);
  EXPECT_EQ(choose(DeviceWish::cpu).note, "");
  EXPECT_THROW((void)choose(DeviceWish::cuda), UsageError);
}

TEST(DeviceWishOf, OptionsModelsAndTypes) {
  EXPECT_EQ(device_wish("auto", false, "m", DType::automatic), DeviceWish::automatic);
  EXPECT_EQ(device_wish("auto", true, "m", DType::bf16), DeviceWish::cuda_if_any);
  EXPECT_EQ(device_wish("cpu", true, "m", DType::automatic), DeviceWish::cpu);
  EXPECT_EQ(device_wish("cuda", false, "m", DType::int8), DeviceWish::cuda);
  EXPECT_EQ(device_wish("auto", true, "tabular:x", DType::automatic), DeviceWish::cpu);
  EXPECT_EQ(device_wish("auto", false, "m", DType::f32), DeviceWish::automatic);
  EXPECT_THROW(device_wish("cuda", false, "m", DType::f32), UsageError);
  EXPECT_EQ(device_wish("auto", true, "m", DType::automatic, KvDType::int8), DeviceWish::cuda_if_any);
  EXPECT_THROW(device_wish("cuda", false, "m", DType::automatic, KvDType::int8), UsageError);
  EXPECT_THROW(device_wish("tpu", false, "m", DType::automatic), UsageError);
}

}  // namespace
}  // namespace shoal::agent
