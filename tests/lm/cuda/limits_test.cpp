// Which models GPUs compute.
#include "lm/cuda/limits.hpp"

#include <gtest/gtest.h>

#include <map>

#include "lm/fixtures.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

TEST(BeyondGpus, IsNamedWhereThereIsSuchAPart) {
  const std::map<std::string, std::string> beyond = {{"gemma2", "norms after attention and MLP"},
                                                     {"gemma3", "norms after attention and MLP"},
                                                     {"olmo2", "norms after attention and MLP"},
                                                     {"granite", "a scaled residual stream"}};
  for (const char* name : checkpoints) {
    const auto found = beyond.find(name);
    EXPECT_EQ(beyond_gpus(fixture(name).string()), found == beyond.end() ? "" : found->second) << name;
  }
}

TEST(BeyondGpus, IsEveryPartByItself) {
  const TransformerConfig plain = load_config(fixture("smollm3"));
  const auto named = [&](auto&& change) {
    TransformerConfig c = plain;
    change(&c);
    return beyond_gpus(c);
  };
  EXPECT_NE(named([](TransformerConfig* c) { c->hidden_size = 24; }).find("width of 24"), std::string::npos);
  EXPECT_NE(named([](TransformerConfig* c) { c->head_dim = 512; }).find("head dimension"), std::string::npos);
  EXPECT_NE(named([](TransformerConfig* c) { c->head_norms = HeadNorms::together; }).find("all heads"),
            std::string::npos);
  EXPECT_NE(named([](TransformerConfig* c) { c->attention_cap = 1.0; }).find("scores"), std::string::npos);
  EXPECT_NE(named([](TransformerConfig* c) { c->logit_cap = 1.0; }).find("logits"), std::string::npos);
  EXPECT_NE(named([](TransformerConfig* c) { c->logit_scale = 0.5; }).find("logits"), std::string::npos);
  EXPECT_NE(named([](TransformerConfig* c) {
              c->rotaries[1] = c->rotaries[0];
              c->rotaries[1].theta *= 2.0;
            }).find("differ between layers"),
            std::string::npos);
}

TEST(BeyondGpus, AModelThatIsNotThereIsAnErrorAndATableHasNothing) {
  EXPECT_THROW((void)beyond_gpus(std::string("/no/such/folder")), ModelError);
  EXPECT_EQ(beyond_gpus(std::string("tabular:coin")), "");
}

}  // namespace
}  // namespace shoal::lm
