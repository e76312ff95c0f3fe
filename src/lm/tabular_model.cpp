#include "lm/tabular_model.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "base/exact_math.hpp"
#include "lm/fingerprint.hpp"
#include "lm/json_file.hpp"
#include "lm/token_tree.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

class TabularTree final : public ContextTree {
 public:
  TabularTree(const TabularLanguage& language, std::span<const TokenId> prompt)
      : language_(language), root_(nodes_.insert({prompt.begin(), prompt.end()}, {})) {}

  [[nodiscard]] ContextId root() const override { return root_; }
  ContextId extend(ContextId parent, TokenId token) override {
    return nodes_.extend(parent, token, [](const auto&) { return std::monostate(); });
  }
  void retain(ContextId context) override { nodes_.retain(context); }
  void release(ContextId context) override { nodes_.release(context); }
  void forward(std::span<const ContextId> contexts, std::span<float> logits) override {
    auto out = logits.begin();
    for (const ContextId context : contexts)
      for (const double p : language_.next(nodes_.at(context).tokens)) *out++ = static_cast<float>(exact_log(p));
  }
  ContextId insert(std::span<const TokenId> tokens) override {
    std::vector<TokenId> all = nodes_.at(root_).tokens;
    all.insert(all.end(), tokens.begin(), tokens.end());
    if (const auto known = nodes_.find(all)) return *known;
    return nodes_.insert(std::move(all), {});
  }
  [[nodiscard]] std::size_t live_contexts() const override { return nodes_.size(); }
  [[nodiscard]] std::size_t live_blocks() const override { return 0; }

 private:
  const TabularLanguage& language_;
  TokenTree<std::monostate> nodes_;
  ContextId root_;
};

Vocabulary make_vocabulary(const TabularLanguage& language) {
  std::vector<std::string> bytes = language.tokens;
  for (const TokenId end : language.end) bytes[static_cast<std::size_t>(end.value())].clear();
  return {std::move(bytes), language.end};
}

}  // namespace

TabularModel::TabularModel(std::string id, const std::filesystem::path& file)
    : language_(load_tabular_language(file)), vocabulary_(make_vocabulary(language_)) {
  Fnv1a hash;
  hash.add(read_text_file(file));
  summary_ = {.id = std::move(id),
              .architecture = "tabular",
              .device = "cpu",
              .dtype = "f32",
              .hash = to_hex(hash.value()),
              .vocabulary_size = vocabulary_.size(),
              .max_context = std::numeric_limits<int>::max()};
}

std::vector<TokenId> TabularModel::encode(std::string_view text, SpecialTokens /*add_special*/) const {
  std::vector<std::optional<TokenId>> first(text.size() + 1);  // token to take at each byte, if the rest can be covered
  for (std::size_t at = text.size(); at-- > 0;) {
    std::size_t longest = 0;
    for (int v = 0; v < vocabulary_.size(); ++v) {
      const std::string_view bytes = vocabulary_.bytes(TokenId{v});
      const std::size_t end = at + bytes.size();
      if (bytes.size() <= longest || !text.substr(at).starts_with(bytes)) continue;
      if (end != text.size() && !first[end]) continue;
      longest = bytes.size();
      first[at] = TokenId{v};
    }
  }
  if (!text.empty() && !first[0])
    throw UsageError("the text cannot be written in the model's tokens ('" + std::string(text) + "' with those of " +
                     summary_.id + ") use its tokens only");
  std::vector<TokenId> ids;
  for (std::size_t at = 0; at < text.size(); at += vocabulary_.bytes(ids.back()).size()) ids.push_back(*first[at]);
  return ids;
}

std::string TabularModel::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += vocabulary_.bytes(id);
  return text;
}

std::string TabularModel::piece(TokenId id) const { return language_.tokens[static_cast<std::size_t>(id.value())]; }

std::string TabularModel::render_chat(std::span<const ChatMessage> messages) const {
  return messages.empty() ? std::string() : messages.back().content;
}

/// A text goes on after each of its tokens but the last.
void TabularModel::check_ids(std::span<const TokenId> ids) const {
  for (const TokenId id : ids)
    if (std::find(language_.end.begin(), language_.end.end(), id) != language_.end.end())
      throw UsageError("the text goes on after its end (token " + std::to_string(id.value()) + ", '" + piece(id) +
                       "') end it there");
}

std::unique_ptr<ContextTree> TabularModel::open(std::span<const TokenId> prompt, ContextLimits /*limits*/) const {
  check_ids(prompt);
  return std::make_unique<TabularTree>(language_, prompt);
}

std::vector<double> TabularModel::score(std::span<const TokenId> ids) const {
  if (!ids.empty()) check_ids(ids.first(ids.size() - 1));
  std::vector<double> log_p;
  for (std::size_t i = 0; i < ids.size(); ++i)
    log_p.push_back(exact_log(language_.next(ids.first(i))[static_cast<std::size_t>(ids[i].value())]));
  return log_p;
}

}  // namespace shoal::lm
