#include "lm/transformer_model.hpp"

#include <algorithm>
#include <cmath>
#include <future>
#include <limits>
#include <utility>

#include "base/exact_math.hpp"
#include "base/parallel.hpp"
#include "lm/available_memory.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/fingerprint.hpp"
#include "lm/json_file.hpp"
#include "lm/transformer_tree.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;
using cpu::block_positions;

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

TransformerModel::TransformerModel(std::string id, const fs::path& folder, const LoadOptions& options) {
  const TransformerConfig config = load_config(folder);
  // Text and weights take about as long: at the same time.
  auto text = std::async(std::launch::async, [&] { return load_text(folder, config); });
  const auto weights = std::make_shared<const Safetensors>(folder);
  transformer_ = load_cpu_transformer(config, weights, options);
  text_ = std::make_unique<const ModelText>(text.get());
  summary_ = {.id = std::move(id),
              .architecture = config.architecture,
              .device = "cpu",
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
  for (const auto& [name, text] : text_->special_tokens) variables[name] = text;
  return text_->chat_template->render(variables);
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
  const std::uint64_t available = available_memory();
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
  return std::make_unique<TransformerTree>(*transformer_, prompt);
}

std::vector<double> TransformerModel::score(std::span<const TokenId> ids) const {
  check_prompt(ids, 0);
  constexpr std::size_t chunk = 128;
  const auto vocabulary_size = static_cast<std::size_t>(summary_.vocabulary_size);
  BlockPool pool(transformer_->block_bytes());
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
