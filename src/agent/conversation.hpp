// Conversation: the messages so far and the part of them that fits the model's context window.
#pragma once

#include <string>
#include <vector>

#include "shoal/language_model.hpp"

namespace shoal::agent {

class Conversation {
 public:
  /// @param system system message; empty = none of ours
  explicit Conversation(std::string system);

  void add(std::string role, std::string content);
  void drop_last();
  void clear();
  [[nodiscard]] const std::vector<ChatMessage>& messages() const { return messages_; }

  /// The conversation as prompt tokens, without its oldest turns where they do not fit @p room tokens. A model without
  /// a chat template gets the last message as it is.
  /// @throws UsageError if the last message alone is longer than @p room
  [[nodiscard]] std::vector<TokenId> prompt(const LanguageModel& model, int room) const;

 private:
  std::string system_;
  std::vector<ChatMessage> messages_;
};

}  // namespace shoal::agent
