#include "agent/load_together.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/isa.hpp"
#include "base/parallel.hpp"
#include "lm/cpu/int8_matrix.hpp"

namespace shoal::agent {
namespace {

using cluster::World;

World& world() { return *World::shared(); }

std::vector<float> logits_of(const LanguageModel& model) {
  const auto prompt = model.encode("Tell me about parallel processing.", SpecialTokens::yes);
  const auto tree = model.open(prompt, {1, 1});
  std::vector<float> logits(static_cast<std::size_t>(model.vocabulary().size()));
  const ContextId root = tree->root();
  tree->forward(std::span(&root, 1), logits);
  return logits;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(LoadTogether, SharedWeightsGiveTheBitsOfOnesOwn) {
  for (const DType dtype : {DType::f32, DType::automatic, DType::int8}) {
    if (dtype == DType::int8 && !lm::cpu::computes_int8()) continue;
    const auto own = load_model("minnow", {.dtype = dtype});
    const auto shared = load_together(&world(), "minnow", {.dtype = dtype});

    EXPECT_TRUE(same_bits(logits_of(*shared), logits_of(*own))) << shared->summary().dtype;
    EXPECT_EQ(shared->summary().weight_bytes, own->summary().weight_bytes);
    world().together([] {});  // all have read before any lets go
  }
}

TEST(LoadTogether, ARankThatFailsFailsAll) {
  set_worker_threads(2);
  for (int failing = 0; failing < world().size(); ++failing) {
    const bool fails = world().rank().value() == failing;
    try {
      (void)load_together(&world(), fails ? "/nonexistent/model" : "minnow", {});
      ADD_FAILURE() << "no error";
    } catch (const cluster::AgreedError& e) {
      EXPECT_EQ(e.code(), ExitCode::model);
      EXPECT_NE(std::string(e.what()).find("/nonexistent/model"), std::string::npos) << e.what();
      EXPECT_EQ(worker_threads(), 2);
    }
  }
  set_worker_threads(1);
}

TEST(LoadTogether, HoldsAllRanksToTheLowestInstructionSet) {
  const Isa lowest = std::min(Isa::avx2, processor_isa());
  for (int low = 0; low < world().size(); ++low) {
    force_isa(world().rank().value() == low ? lowest : processor_isa());

    const auto model = load_together(&world(), "minnow", {});

    EXPECT_EQ(used_isa(), lowest);
    EXPECT_EQ(model->summary().isa, name_of(lowest));
    const auto logits = logits_of(*model);
    const std::string mine(reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float));
    EXPECT_EQ(world().broadcast(mine), mine) << "not the bits of rank 0";
  }
  force_isa(processor_isa());
}

TEST(LoadTogether, LeavesTheNumberOfWorkers) {
  set_worker_threads(3);

  (void)load_together(&world(), "minnow", {});

  EXPECT_EQ(worker_threads(), 3);
  set_worker_threads(1);
}

}  // namespace
}  // namespace shoal::agent
