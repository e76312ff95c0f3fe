#include "lm/model_text.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "lm/config.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

/// minnow's tokenizer beside a tokenizer_config.json of the test.
class ModelTextTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "shoal-text-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    fs::copy_file(minnow_ / "tokenizer.json", folder_ / "tokenizer.json");
  }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] bool has_template(const std::string& tokenizer_config) const {
    std::ofstream(folder_ / "tokenizer_config.json") << tokenizer_config;
    return load_text(folder_, load_config(minnow_)).chat_template.has_value();
  }

 private:
  fs::path minnow_ = fs::path(SHOAL_SOURCE_DIR) / "jobs" / "minnow" / "model";
  fs::path folder_;
};

TEST_F(ModelTextTest, TheTemplateIsATextOrTheDefaultOfAList) {
  EXPECT_TRUE(has_template(R"({"chat_template": "{{ x }}"})"));
  EXPECT_TRUE(has_template(
      R"({"chat_template": [{"name": "tool_use", "template": "{%"}, {"name": "default", "template": "{{ x }}"}]})"));
}

TEST_F(ModelTextTest, AnEntryThatIsNoTextIsNoTemplate) {
  for (const char* entry : {R"(7)", R"([7])", R"([{"name": 7, "template": "x"}])",
                            R"([{"name": "default", "template": 7}])", R"([{"name": "default"}])"})
    EXPECT_FALSE(has_template(std::string(R"({"chat_template": )") + entry + "}")) << entry;
}

}  // namespace
}  // namespace shoal::lm
