#include "agent/conversation.hpp"

#include <gtest/gtest.h>

#include "agent/workers.hpp"
#include "shoal/agent.hpp"
#include "shoal/error.hpp"

namespace shoal {
namespace {

/// A model whose tokens are bytes and whose template writes "role:content;".
class ByteModel final : public LanguageModel {
 public:
  explicit ByteModel(bool chat) : chat_(chat), vocabulary_(std::vector<std::string>(256, "x"), {}) {}

  [[nodiscard]] const ModelSummary& summary() const override { return summary_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return vocabulary_; }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens) const override {
    std::vector<TokenId> ids;
    for (const char c : text) ids.emplace_back(static_cast<unsigned char>(c));
    return ids;
  }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override {
    std::string text;
    for (const TokenId id : ids) text += static_cast<char>(id.value());
    return text;
  }
  [[nodiscard]] std::string piece(TokenId id) const override { return decode(std::span(&id, 1)); }
  [[nodiscard]] bool has_chat_template() const override { return chat_; }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage> messages) const override {
    std::string text;
    for (const auto& m : messages) text += m.role + ":" + m.content + ";";
    return text;
  }
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId>, ContextLimits) const override {
    return nullptr;
  }
  [[nodiscard]] std::vector<double> score(std::span<const TokenId>) const override { return {}; }

 private:
  bool chat_;
  ModelSummary summary_;
  Vocabulary vocabulary_;
};

TEST(Conversation, RendersTheWholeHistoryWhenItFits) {
  agent::Conversation conversation("be kind");
  conversation.add("user", "hi");
  conversation.add("assistant", "hello");
  conversation.add("user", "why");
  const ByteModel model(true);

  EXPECT_EQ(model.decode(conversation.prompt(model, 1000)), "system:be kind;user:hi;assistant:hello;user:why;");
}

TEST(Conversation, DropsTheOldestTurnsFirstAndKeepsTheSystemMessage) {
  agent::Conversation conversation("s");
  conversation.add("user", "one");
  conversation.add("assistant", "two");
  conversation.add("user", "three");
  const ByteModel model(true);

  EXPECT_EQ(model.decode(conversation.prompt(model, 25)), "system:s;user:three;");
}

TEST(Conversation, RefusesAMessageThatCannotFit) {
  agent::Conversation conversation("");
  conversation.add("user", std::string(100, 'x'));
  const ByteModel model(true);

  EXPECT_THROW((void)conversation.prompt(model, 50), UsageError);
}

TEST(Conversation, GivesAPlainModelTheLastMessageOnly) {
  agent::Conversation conversation("");
  conversation.add("user", "a");
  conversation.add("assistant", "b");
  conversation.add("user", "c");
  const ByteModel model(false);

  EXPECT_EQ(model.decode(conversation.prompt(model, 50)), "c");
}

TEST(ChooseWorkers, SharesTheNodeAndLeavesACore) {
  EXPECT_EQ(agent::choose_workers(0, 8, 1), 7);
  EXPECT_EQ(agent::choose_workers(0, 8, 2), 3);
  EXPECT_EQ(agent::choose_workers(0, 2, 4), 1);
  EXPECT_EQ(agent::choose_workers(5, 2, 4), 5);
}

TEST(ModelSizes, ResolveToTheGuidesCheckpoints) {
  EXPECT_EQ(model_id_of_size("small_context"), "Qwen/Qwen1.5-0.5B-Chat");
  EXPECT_EQ(model_id_of_size("small"), "TinyLlama/TinyLlama-1.1B-Chat-v1.0");
  EXPECT_EQ(model_id_of_size("nothing"), "");
}

TEST(CreateAgent, RefusesWhatIsMissingOrUnknown) {
  EXPECT_THROW((void)create_agent({}), UsageError);
  EXPECT_THROW((void)default_potentials("sarcastic"), UsageError);
  EXPECT_EQ(default_potentials("formal").size(), 2U);
}

}  // namespace
}  // namespace shoal
