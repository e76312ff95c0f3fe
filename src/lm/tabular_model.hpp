// TabularModel: a TabularLanguage as a LanguageModel. Exact, tiny, without any weights: what the statistical tests and
// the benchmarks of large particle counts run on.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lm/tabular_language.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm {

class TabularModel final : public LanguageModel {
 public:
  /// @param id as the user named the model
  /// @throws ModelError
  TabularModel(std::string id, const std::filesystem::path& file);

  [[nodiscard]] const ModelSummary& summary() const override { return summary_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return vocabulary_; }
  /// The segmentation with the longest first tokens that covers the text.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens add_special) const override;
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override;
  [[nodiscard]] std::string piece(TokenId id) const override;
  [[nodiscard]] bool has_chat_template() const override { return false; }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage> messages) const override;
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt, ContextLimits limits) const override;
  [[nodiscard]] std::vector<double> score(std::span<const TokenId> ids) const override;

 private:
  void check_ids(std::span<const TokenId> ids) const;

  TabularLanguage language_;
  Vocabulary vocabulary_;
  ModelSummary summary_;
};

}  // namespace shoal::lm
