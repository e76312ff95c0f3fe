// TransformerModel: a Hugging Face checkpoint as a LanguageModel: configuration, weights, tokenizer, chat template.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lm/transformer.hpp"
#include "shoal/language_model.hpp"
#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"

namespace shoal::lm {

class TransformerModel final : public LanguageModel {
 public:
  /// @param id as the user named the model
  /// @throws ModelError naming the file and what is wrong with it
  TransformerModel(std::string id, const std::filesystem::path& folder, DType dtype, Device device);

  [[nodiscard]] const ModelSummary& summary() const override { return summary_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return vocabulary_; }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens add_special) const override {
    return tokenizer_.encode(text, add_special);
  }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override { return tokenizer_.decode(ids); }
  [[nodiscard]] std::string piece(TokenId id) const override { return tokenizer_.piece(id); }
  [[nodiscard]] bool has_chat_template() const override { return chat_template_.has_value(); }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage> messages) const override;
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt, ContextLimits limits) const override;
  [[nodiscard]] std::vector<double> score(std::span<const TokenId> ids) const override;

 private:
  void check_prompt(std::span<const TokenId> ids, int new_tokens) const;
  void check_memory(std::span<const TokenId> prompt, ContextLimits limits) const;

  text::Tokenizer tokenizer_;
  std::unique_ptr<Transformer> transformer_;
  Vocabulary vocabulary_;
  bool can_sample_ = false;  ///< the transformer itself
  std::optional<text::ChatTemplate> chat_template_;
  std::vector<std::pair<std::string, std::string>> special_tokens_;  ///< variables of the template, e.g. bos_token
  ModelSummary summary_;
};

}  // namespace shoal::lm
