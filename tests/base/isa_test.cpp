#include "base/isa.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "shoal/error.hpp"

namespace shoal {
namespace {

class UsedIsa : public testing::Test {
 protected:
  void TearDown() override { force_isa(processor_isa()); }
};

TEST_F(UsedIsa, IsTheProcessorsBestUnlessForced) {
  EXPECT_EQ(used_isa(), processor_isa());
  for (const Isa isa : all_isas) {
    if (isa > processor_isa()) continue;
    force_isa(isa);
    EXPECT_EQ(used_isa(), isa);
  }
}

TEST_F(UsedIsa, IsNeverOneThatTheProcessorLacks) {
  for (const Isa isa : all_isas) {
    if (isa <= processor_isa()) continue;
    EXPECT_THROW(force_isa(isa), UsageError);
    EXPECT_EQ(used_isa(), processor_isa());
  }
}

TEST_F(UsedIsa, HasANameOfItsOwn) {
  std::set<std::string> names;
  for (const Isa isa : all_isas) {
    names.insert(name_of(isa));
    EXPECT_EQ(isa_named(name_of(isa)), isa);
  }
  EXPECT_EQ(names.size(), all_isas.size());
}

TEST_F(UsedIsa, IsRefusedUnderANameThatThereIsNot) {
  try {
    (void)isa_named("mmx");
    ADD_FAILURE() << "no error";
  } catch (const UsageError& e) {
    EXPECT_STREQ(e.what(),
                 "bad --isa 'mmx' (not known) choose one of auto, baseline, avx2, avx512, avx512_vnni, "
                 "avx512_bf16, amx");
  }
}

}  // namespace
}  // namespace shoal
