// ModelText: how a checkpoint reads and writes text: tokenizer, vocabulary, chat template.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lm/config.hpp"
#include "shoal/vocabulary.hpp"
#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"

namespace shoal::lm {

struct ModelText {
  text::Tokenizer tokenizer;
  Vocabulary vocabulary;
  std::optional<text::ChatTemplate> chat_template;
  std::vector<std::pair<std::string, std::string>> special_tokens;  ///< variables of the template, e.g. bos_token
};

/// @throws ModelError naming the file and what is wrong with it
ModelText load_text(const std::filesystem::path& folder, const TransformerConfig& config);

}  // namespace shoal::lm
