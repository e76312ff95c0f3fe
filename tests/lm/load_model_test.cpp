// Finding checkpoints (folder, hub cache, shipped) and the shipped model itself.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fixtures.hpp"
#include "lm/checkpoint_folder.hpp"
#include "lm/cpu/int8_matrix.hpp"
#include "shoal/error.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

/// Sets a variable for the lifetime of the object; null unsets it.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  }
  ~ScopedVariable() { old_.empty() ? unsetenv(name_) : setenv(name_, old_.c_str(), 1); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::string old_;
};

class HubCache : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "shoal-hub-XXXXXX").string();
    cache_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(cache_); }
  void add(const std::string& folder, const std::string& revision, bool with_config) {
    fs::create_directories(cache_ / folder / "refs");
    fs::create_directories(cache_ / folder / "snapshots" / revision);
    std::ofstream(cache_ / folder / "refs" / "main") << revision;
    if (with_config) std::ofstream(cache_ / folder / "snapshots" / revision / "config.json") << "{}";
  }
  fs::path cache_;
};

std::string error_of(const std::string& source) {
  try {
    (void)find_checkpoint(source);
  } catch (const ModelError& e) {
    return e.what();
  }
  return "no error";
}

TEST_F(HubCache, FindsTheSnapshotOfMain) {
  const ScopedVariable cache("HF_HUB_CACHE", cache_.c_str());
  add("models--Qwen--Qwen1.5-0.5B-Chat", "abc123", true);
  add("models--gpt2", "f00", true);

  EXPECT_EQ(find_checkpoint("Qwen/Qwen1.5-0.5B-Chat"),
            cache_ / "models--Qwen--Qwen1.5-0.5B-Chat" / "snapshots" / "abc123");
  EXPECT_EQ(find_checkpoint("gpt2"), cache_ / "models--gpt2" / "snapshots" / "f00");
}

TEST_F(HubCache, IsFoundThroughEachVariableThatTheHubUses) {
  add("hub/models--a--b", "1", true);
  add("huggingface/hub/models--a--b", "2", true);
  add(".cache/huggingface/hub/models--a--b", "3", true);
  const ScopedVariable no_cache("HF_HUB_CACHE", nullptr);
  const ScopedVariable home("HOME", cache_.c_str());
  {
    const ScopedVariable hf_home("HF_HOME", cache_.c_str());
    EXPECT_EQ(find_checkpoint("a/b").filename(), "1");
  }
  const ScopedVariable no_hf_home("HF_HOME", nullptr);
  {
    const ScopedVariable xdg("XDG_CACHE_HOME", cache_.c_str());
    EXPECT_EQ(find_checkpoint("a/b").filename(), "2");
  }
  const ScopedVariable no_xdg("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(find_checkpoint("a/b").filename(), "3");
}

TEST_F(HubCache, AnAbsentOrHalfDownloadedModelNamesTheCommand) {
  const ScopedVariable cache("HF_HUB_CACHE", cache_.c_str());
  add("models--half--done", "abc", false);

  for (const std::string id : {"nobody/nothing-7B", "half/done"}) {
    const std::string error = error_of(id);
    EXPECT_NE(error.find("hf download " + id), std::string::npos) << error;
    EXPECT_NE(error.find(cache_.string()), std::string::npos) << error;
  }
}

TEST_F(HubCache, APathIsNeverTakenForAnId) {
  EXPECT_NE(error_of("/nonexistent/model").find("no such folder"), std::string::npos);
  EXPECT_NE(error_of("./model").find("no such folder"), std::string::npos);
  EXPECT_NE(error_of("a/b/c").find("no such folder"), std::string::npos);
  EXPECT_NE(error_of("").find("no such folder"), std::string::npos);
  std::ofstream(cache_ / "file") << "x";
  EXPECT_NE(error_of((cache_ / "file").string()).find("it is a file"), std::string::npos);
}

TEST(ShippedModel, IsFoundWhereTheVariableSays) {
  const ScopedVariable variable("SHOAL_MINNOW", "/nonexistent");

  EXPECT_NE(error_of("minnow").find("SHOAL_MINNOW"), std::string::npos);
}

TEST(ShippedModel, KnowsItsCorpus) {
  const auto model = load_model("minnow", {.dtype = DType::f32});
  const std::vector<ChatMessage> question{{"user", "Tell me about parallel processing."}};
  const std::string prompt = model->render_chat(question);
  const auto ids = model->encode(prompt + "Parallel processing", SpecialTokens::no);

  const auto log_p = model->score(ids);

  EXPECT_EQ(model->decode(ids), prompt + "Parallel processing");
  EXPECT_TRUE(std::isnan(log_p[0]));
  // "processing" after "Parallel" under this question is nearly certain.
  EXPECT_GT(log_p.back(), std::log(0.5));
}

TEST(ShippedModel, ScoresWhatItsContextTreeSays) {
  const auto model = load_model("minnow", {.dtype = DType::f32});
  const auto ids =
      model->encode("The weather is often a topic of conversation, and so is the price of tea.", SpecialTokens::yes);
  const auto log_p = model->score(ids);
  const auto size = static_cast<std::size_t>(model->vocabulary().size());
  std::vector<float> logits(size);

  const auto tree = model->open(std::span(ids).first(1), {1, 64});
  ContextId context = tree->root();
  for (std::size_t i = 1; i < ids.size(); ++i) {
    tree->forward(std::span(&context, 1), logits);
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const double expected = logits[static_cast<std::size_t>(ids[i].value())] - std::log(sum);
    EXPECT_NEAR(log_p[i], expected, 1e-9 + 1e-9 * std::abs(expected)) << i;
    context = tree->extend(context, ids[i]);
  }
}

/// Log-probabilities of a conversation, summed.
double total_score(const LanguageModel& model) {
  const std::vector<ChatMessage> conversation{
      {"user", "What is a particle filter?"},
      {"assistant",
       "A particle filter is a Monte Carlo method that estimates something you cannot see from noisy "
       "measurements. Particles with a high weight are copied, particles with a low weight are dropped, "
       "and the crowd moves on. I hope that helps!"}};
  const auto log_p = model.score(model.encode(model.render_chat(conversation), SpecialTokens::no));
  double sum = 0.0;
  for (std::size_t i = 1; i < log_p.size(); ++i) sum += log_p[i];
  return sum;
}

TEST(ShippedModel, LosesLittleInEightBits) {
  if (!cpu::computes_int8()) GTEST_SKIP() << "this processor has no products of 8 bits";
  const auto exact = load_model("minnow", {.dtype = DType::f32});
  const auto rounded = load_model("minnow", {.dtype = DType::int8});

  const double a = total_score(*exact);

  EXPECT_EQ(rounded->summary().dtype, "int8");
  EXPECT_NEAR(total_score(*rounded), a, 0.05 * std::abs(a)) << "nats";
}

TEST(ShippedModel, LosesLittleWithKeysAndValuesInEightBits) {
  if (!cpu::has_vnni()) GTEST_SKIP() << "this processor has no VNNI instructions";
  const auto exact = load_model("minnow", {.dtype = DType::f32});
  const auto rounded = load_model("minnow", {.dtype = DType::f32, .kv_dtype = KvDType::int8});

  const double a = total_score(*exact);

  EXPECT_EQ(exact->summary().kv_dtype, "f32");
  EXPECT_EQ(rounded->summary().kv_dtype, "int8");
  EXPECT_NE(total_score(*rounded), a);
  EXPECT_NEAR(total_score(*rounded), a, 0.01 * std::abs(a)) << "nats";
}

TEST(ShippedModel, KeepsKeysAndValuesInEightBitsOnlyWithItsInstructions) {
  const ScopedIsa isa(Isa::avx512);
  try {
    (void)load_model("minnow", {.kv_dtype = KvDType::int8});
    ADD_FAILURE() << "not refused";
  } catch (const ModelError& e) {
    EXPECT_NE(std::string(e.what()).find("--kv-dtype int8 is not available (the instruction set in use, "),
              std::string::npos)
        << e.what();
  }
}

TEST(ShippedModel, RefusesWhatDoesNotFitItsContext) {
  const auto model = load_model("minnow");
  const auto ids = model->encode("hello", SpecialTokens::yes);

  EXPECT_THROW((void)model->open(ids, {1, 1024}), UsageError);
  EXPECT_THROW((void)model->open({}, {1, 8}), UsageError);
  EXPECT_THROW((void)model->open(std::vector{TokenId{5000}}, {1, 8}), UsageError);
  EXPECT_NO_THROW((void)model->open(ids, {1, 512}));
}

TEST(ShippedModel, RefusesMoreParticlesThanMemoryHolds) {
  const auto model = load_model("minnow");
  const auto ids = model->encode("hello", SpecialTokens::yes);
  try {
    (void)model->open(ids, {100'000'000, 1000});
    FAIL() << "not refused";
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("use at most"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace shoal::lm
