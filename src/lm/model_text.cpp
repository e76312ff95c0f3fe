#include "lm/model_text.hpp"

#include <algorithm>

#include "lm/json_file.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

/// Special tokens and rows beyond the tokenizer carry no text.
Vocabulary make_vocabulary(const text::Tokenizer& tokenizer, const TransformerConfig& config) {
  std::vector<std::string> bytes(static_cast<std::size_t>(config.vocabulary_size));
  for (int i = 0; i < std::min(config.vocabulary_size, tokenizer.size()); ++i)
    if (!tokenizer.is_special(TokenId{i})) bytes[static_cast<std::size_t>(i)] = tokenizer.bytes(TokenId{i});
  for (const TokenId end : config.end_tokens) bytes[static_cast<std::size_t>(end.value())].clear();
  return {std::move(bytes), config.end_tokens};
}

nlohmann::json read_tokenizer_config(const fs::path& folder) {
  const fs::path file = folder / "tokenizer_config.json";
  return fs::exists(file) ? read_json_file(file) : nlohmann::json::object();
}

std::optional<std::string> text_of(const nlohmann::json& entries, const char* name) {
  const auto entry = entries.find(name);
  return entry != entries.end() && entry->is_string() ? std::optional(entry->get<std::string>()) : std::nullopt;
}

/// The template's source: a file of its own, or an entry that is one text or a list of named ones.
std::optional<std::string> template_source(const fs::path& folder, const nlohmann::json& tokenizer_config) {
  if (const fs::path file = folder / "chat_template.jinja"; fs::exists(file)) return read_text_file(file);
  const auto entry = tokenizer_config.find("chat_template");
  if (entry == tokenizer_config.end()) return std::nullopt;
  if (entry->is_string()) return entry->get<std::string>();
  if (entry->is_array())
    for (const auto& named : *entry)
      if (named.is_object() && text_of(named, "name") == "default") return text_of(named, "template");
  return std::nullopt;
}

std::optional<text::ChatTemplate> load_template(const fs::path& folder, const nlohmann::json& tokenizer_config) {
  const auto source = template_source(folder, tokenizer_config);
  if (!source) return std::nullopt;
  return text::ChatTemplate(*source);
}

std::vector<std::pair<std::string, std::string>> special_tokens(const nlohmann::json& tokenizer_config) {
  std::vector<std::pair<std::string, std::string>> tokens;
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    const auto entry = tokenizer_config.find(name);
    if (entry == tokenizer_config.end()) continue;
    if (entry->is_string()) tokens.emplace_back(name, entry->get<std::string>());
    if (!entry->is_object()) continue;
    if (const auto content = text_of(*entry, "content")) tokens.emplace_back(name, *content);
  }
  return tokens;
}

}  // namespace

ModelText load_text(const fs::path& folder, const TransformerConfig& config) {
  auto tokenizer = text::Tokenizer::load(folder / "tokenizer.json");
  auto vocabulary = make_vocabulary(tokenizer, config);
  const nlohmann::json tokenizer_config = read_tokenizer_config(folder);
  return {std::move(tokenizer), std::move(vocabulary), load_template(folder, tokenizer_config),
          special_tokens(tokenizer_config)};
}

}  // namespace shoal::lm
