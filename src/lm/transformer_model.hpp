// TransformerModel: a Hugging Face checkpoint as a LanguageModel: configuration, weights, tokenizer, chat template.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lm/model_text.hpp"
#include "lm/transformer.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm {

class TransformerModel final : public LanguageModel {
 public:
  /// @param id as the user named the model
  /// @throws ModelError naming the file and what is wrong with it
  TransformerModel(std::string id, const std::filesystem::path& folder, const LoadOptions& options);

  [[nodiscard]] const ModelSummary& summary() const override { return summary_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return text_->vocabulary; }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens add_special) const override {
    return text_->tokenizer.encode(text, add_special);
  }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override { return text_->tokenizer.decode(ids); }
  [[nodiscard]] std::string piece(TokenId id) const override { return text_->tokenizer.piece(id); }
  [[nodiscard]] bool has_chat_template() const override { return text_->chat_template.has_value(); }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage> messages) const override;
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt, ContextLimits limits) const override;
  [[nodiscard]] std::vector<double> score(std::span<const TokenId> ids) const override;

 private:
  void check_prompt(std::span<const TokenId> ids, int new_tokens) const;
  void check_memory(std::span<const TokenId> prompt, ContextLimits limits) const;

  int sharers_;          ///< ranks among which what is free is divided
  const char* sharing_;  ///< whose they are
  bool can_sample_ = false;
  std::unique_ptr<const ModelText> text_;  ///< before the transformer, which may draw from its vocabulary
  std::unique_ptr<Transformer> transformer_;
  ModelSummary summary_;
};

}  // namespace shoal::lm
