#include "agent/conversation.hpp"

#include <utility>

#include "shoal/error.hpp"

namespace shoal::agent {

Conversation::Conversation(std::string system) : system_(std::move(system)) {}

void Conversation::add(std::string role, std::string content) {
  messages_.push_back({std::move(role), std::move(content)});
}

void Conversation::drop_last() { messages_.pop_back(); }

void Conversation::clear() { messages_.clear(); }

std::vector<TokenId> Conversation::prompt(const LanguageModel& model, int room) const {
  if (!model.has_chat_template()) return model.encode(messages_.back().content, SpecialTokens::yes);
  for (std::size_t first = 0; first < messages_.size(); first += 2) {
    std::vector<ChatMessage> kept;
    if (!system_.empty()) kept.push_back({"system", system_});
    kept.insert(kept.end(), messages_.begin() + static_cast<std::ptrdiff_t>(first), messages_.end());
    std::vector<TokenId> ids = model.encode(model.render_chat(kept), SpecialTokens::no);
    if (static_cast<int>(ids.size()) <= room) return ids;
  }
  throw UsageError("the message does not fit (the model's context leaves room for " + std::to_string(room) +
                   " prompt tokens) shorten it or lower --max-tokens");
}

}  // namespace shoal::agent
