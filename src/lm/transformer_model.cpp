#include "lm/transformer_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/exact_math.hpp"
#include "base/parallel.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cuda/plugin.hpp"
#include "lm/fingerprint.hpp"
#include "lm/json_file.hpp"
#include "lm/transformer_tree.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;
using cpu::block_positions;

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

/// The template's source: a file of its own, or an entry that is one text or a list of named ones.
std::optional<std::string> template_source(const fs::path& folder, const nlohmann::json& tokenizer_config) {
  if (const fs::path file = folder / "chat_template.jinja"; fs::exists(file)) return read_text_file(file);
  const auto entry = tokenizer_config.find("chat_template");
  if (entry == tokenizer_config.end()) return std::nullopt;
  if (entry->is_string()) return entry->get<std::string>();
  if (entry->is_array())
    for (const auto& named : *entry)
      if (named.is_object() && named.value("name", "") == "default") return named.value("template", "");
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
    if (entry->is_object() && entry->contains("content") && entry->at("content").is_string())
      tokens.emplace_back(name, entry->at("content").get<std::string>());
  }
  return tokens;
}

std::string checkpoint_hash(const fs::path& folder, const Safetensors& weights) {
  Fnv1a hash;
  hash.add(read_text_file(folder / "config.json"));
  hash.add(weights.fingerprint());
  return to_hex(hash.value());
}

std::string name_of(DType dtype) { return dtype == DType::int8 ? "int8" : dtype == DType::bf16 ? "bf16" : "f32"; }

std::string megabytes(std::uint64_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

/// ln p of one token under one row of logits.
double log_probability(std::span<const float> logits, TokenId token) {
  const auto top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0.0;
  for (const float logit : logits) sum += exact_exp(logit - top);
  return logits[static_cast<std::size_t>(token.value())] - top - exact_log(sum);
}

}  // namespace

TransformerModel::TransformerModel(std::string id, const fs::path& folder, DType dtype, Device device)
    : tokenizer_(text::Tokenizer::load(folder / "tokenizer.json")), vocabulary_({}, {}) {
  const TransformerConfig config = load_config(folder);
  const auto weights = std::make_shared<const Safetensors>(folder);
  const nlohmann::json tokenizer_config = read_tokenizer_config(folder);
  chat_template_ = load_template(folder, tokenizer_config);
  special_tokens_ = special_tokens(tokenizer_config);
  transformer_ = device.kind == Device::Kind::cuda ? load_cuda_transformer(config, weights, dtype, device.gpu)
                                                   : load_cpu_transformer(config, weights, dtype);
  vocabulary_ = make_vocabulary(tokenizer_, config);
  can_sample_ = transformer_->prepare_sampling(vocabulary_);
  summary_ = {.id = std::move(id),
              .architecture = config.architecture,
              .device = transformer_->device(),
              .dtype = name_of(transformer_->dtype()),
              .hash = checkpoint_hash(folder, *weights),
              .parameters = transformer_->parameters(),
              .weight_bytes = transformer_->weight_bytes(),
              .kv_bytes_per_token = transformer_->block_bytes() / block_positions,
              .vocabulary_size = config.vocabulary_size,
              .max_context = config.max_position};
}

std::string TransformerModel::render_chat(std::span<const ChatMessage> messages) const {
  nlohmann::ordered_json variables = {{"messages", nlohmann::ordered_json::array()}, {"add_generation_prompt", true}};
  for (const ChatMessage& message : messages)
    variables["messages"].push_back({{"role", message.role}, {"content", message.content}});
  for (const auto& [name, text] : special_tokens_) variables[name] = text;
  return chat_template_->render(variables);
}

void TransformerModel::check_prompt(std::span<const TokenId> ids, int new_tokens) const {
  if (ids.empty()) throw UsageError("the prompt is empty (the model needs at least one token) give a longer prompt");
  for (const TokenId id : ids)
    if (id.value() >= summary_.vocabulary_size)
      throw UsageError("the prompt has token " + std::to_string(id.value()) + " (the model has only " +
                       std::to_string(summary_.vocabulary_size) + ") leave '" + piece(id) + "' out");
  if (ids.size() + static_cast<std::size_t>(new_tokens) > static_cast<std::size_t>(summary_.max_context))
    throw UsageError("the text does not fit (" + std::to_string(ids.size()) + " prompt and " +
                     std::to_string(new_tokens) + " new tokens, the model's context has " +
                     std::to_string(summary_.max_context) + ") shorten the prompt or lower --max-tokens");
}

/// Every context might be distinct: refused at the start rather than killed in the middle.
void TransformerModel::check_memory(std::span<const TokenId> prompt, ContextLimits limits) const {
  const std::uint64_t shared = (prompt.size() / block_positions + 1) * transformer_->block_bytes();
  const std::uint64_t each =
      static_cast<std::uint64_t>(limits.new_tokens / block_positions + 2) * transformer_->block_bytes();
  const std::uint64_t available = transformer_->free_block_bytes();
  if (shared + each * static_cast<std::uint64_t>(limits.contexts) <= available) return;
  const std::uint64_t fit = available > shared ? (available - shared) / each : 0;
  throw UsageError("not enough memory for " + std::to_string(limits.contexts) +
                   " contexts on this rank (each may take " + megabytes(each) + " for " +
                   std::to_string(limits.new_tokens) + " new tokens, " + megabytes(available) +
                   " are free) use at most " + std::to_string(fit) + " particles a rank, or lower --max-tokens");
}

std::unique_ptr<ContextTree> TransformerModel::open(std::span<const TokenId> prompt, ContextLimits limits) const {
  check_prompt(prompt, limits.new_tokens);
  check_memory(prompt, limits);
  return std::make_unique<TransformerTree>(*transformer_, prompt, can_sample_);
}

std::vector<double> TransformerModel::score(std::span<const TokenId> ids) const {
  check_prompt(ids, 0);
  constexpr std::size_t chunk = 128;
  const auto vocabulary_size = static_cast<std::size_t>(summary_.vocabulary_size);
  BlockPool pool(transformer_->block_bytes(), transformer_->block_memory());
  ForwardBuffers buffers;
  std::vector<BlockId> table(ids.size() / block_positions + 1);
  for (BlockId& block : table) block = pool.allocate();
  std::vector<float> logits(std::min(chunk, ids.size()) * vocabulary_size);
  std::vector<double> log_p(ids.size(), std::numeric_limits<double>::quiet_NaN());

  for (std::size_t begin = 0; begin + 1 < ids.size(); begin += chunk) {
    const std::size_t rows_in_chunk = std::min(chunk, ids.size() - 1 - begin);
    std::vector<TokenRow> rows;
    for (std::size_t i = begin; i < begin + rows_in_chunk; ++i)
      rows.push_back({ids[i], static_cast<int>(i), table, Logits::yes});
    transformer_->forward(rows, &pool, &buffers, std::span(logits).first(rows_in_chunk * vocabulary_size));
    parallel_for(rows_in_chunk, [&](std::size_t r) {
      log_p[begin + r + 1] =
          log_probability(std::span(logits).subspan(r * vocabulary_size, vocabulary_size), ids[begin + r + 1]);
    });
  }
  return log_p;
}

}  // namespace shoal::lm
