// The plugin as a file: it links, loads where there is no driver, and says what is missing there.
#include "lm/cuda/plugin.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "lm/cuda/gpus.hpp"

namespace shoal::lm {
namespace {

class Plugin : public testing::Test {
 protected:
  void SetUp() override {
    library = dlopen(SHOAL_PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
  }
  template <class Function>
  Function symbol(const char* name) {
    return reinterpret_cast<Function>(dlsym(library, name));
  }
  void* library = nullptr;
};

TEST_F(Plugin, IsOfThisBuild) {
  const auto abi = symbol<const char* (*)()>(cuda_abi_symbol);

  ASSERT_NE(abi, nullptr);
  EXPECT_STREQ(abi(), SHOAL_CUDA_ABI);
}

TEST_F(Plugin, OffersOnlyItsTwoEntryPoints) {
  EXPECT_NE(dlsym(library, cuda_plugin_symbol), nullptr);
  EXPECT_EQ(dlsym(library, "_ZN5shoal2lm11load_configERKNSt10filesystem7__cxx114pathE"), nullptr);
}

TEST_F(Plugin, SaysWhyItCannotStart) {
  if (find_gpus().problem.empty()) GTEST_SKIP() << "there is a GPU";
  const CudaPlugin* plugin = symbol<const CudaPlugin* (*)()>(cuda_plugin_symbol)();

  EXPECT_NE(plugin->problem(0), "");
  EXPECT_NE(cuda_problem(0), "");
}

}  // namespace
}  // namespace shoal::lm
