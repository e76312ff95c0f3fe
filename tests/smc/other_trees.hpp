// A model as another, but for its trees.
#pragma once

#include <string>
#include <vector>

#include "shoal/language_model.hpp"

namespace shoal::test {

class OtherTrees : public LanguageModel {
 public:
  explicit OtherTrees(const LanguageModel& model) : model_(model) {}
  [[nodiscard]] const ModelSummary& summary() const override { return model_.summary(); }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return model_.vocabulary(); }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view, SpecialTokens) const override { return {}; }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override { return model_.decode(ids); }
  [[nodiscard]] std::string piece(TokenId id) const override { return model_.piece(id); }
  [[nodiscard]] bool has_chat_template() const override { return false; }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage>) const override { return {}; }
  [[nodiscard]] std::vector<double> score(std::span<const TokenId>) const override { return {}; }

 protected:
  const LanguageModel& model_;
};

}  // namespace shoal::test
