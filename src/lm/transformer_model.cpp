#include "lm/transformer_model.hpp"

#include <algorithm>
#include <cmath>
#include <future>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/exact_math.hpp"
#include "base/parallel.hpp"
#include "lm/available_memory.hpp"
#include "lm/context_memory.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/matmul.hpp"
#include "lm/cuda/plugin.hpp"
#include "lm/model_summary.hpp"
#include "lm/transformer_tree.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;
using cpu::block_positions;

std::string megabytes(std::uint64_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

/// What is packed; the embedding stays in the file. One copy for each process that shares none.
void check_weights_fit(const ModelSummary& model, const NodeShare& node) {
  std::uint64_t bytes = 0;
  for (const ModelPart& part : model.parts)
    if (part.name != "embedding") bytes += part.bytes;
  const std::uint64_t copies = node.file >= 0 ? 1 : static_cast<std::uint64_t>(node.processes);
  const std::uint64_t available = node.free_memory > 0 ? node.free_memory : available_memory();
  if (bytes * copies <= available) return;
  throw ModelError("not enough memory for the weights of '" + model.id + "' (" + megabytes(bytes) + " in " +
                   model.dtype + (copies > 1 ? ", for each of " + std::to_string(copies) + " ranks" : "") + "; " +
                   megabytes(available) + " are free) use " +
                   (model.dtype == "int8"  ? ""
                    : model.dtype == "f32" ? "--dtype bf16 or int8, "
                                           : "--dtype int8, ") +
                   "a smaller model or another node");
}

/// ln p of one token under one row of logits.
double log_probability(std::span<const float> logits, TokenId token) {
  const auto top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0.0;
  for (const float logit : logits) sum += exact_exp(logit - top);
  return logits[static_cast<std::size_t>(token.value())] - top - exact_log(sum);
}

}  // namespace

TransformerModel::TransformerModel(std::string id, const fs::path& folder, const LoadOptions& options)
    : sharers_(options.device.kind == Device::Kind::cpu ? options.node.processes : options.device.ranks),
      sharing_(options.device.kind == Device::Kind::cpu ? "the node's " : "the GPU's ") {
  const TransformerConfig config = load_config(folder);
  // Text and weights take about as long: at the same time.
  auto text = std::async(std::launch::async, [&] { return load_text(folder, config); });
  const auto weights = std::make_shared<const Safetensors>(folder);
  summary_ = summarize(std::move(id), folder, config, *weights, options.dtype, options.kv_dtype);
  if (options.device.kind == Device::Kind::cpu) {
    check_weights_fit(summary_, options.node);
    transformer_ = load_cpu_transformer(config, weights, options);
  } else {
    transformer_ = load_cuda_transformer(config, weights, options);
    summary_.device = transformer_->device();
    summary_.isa.clear();
    summary_.dtype = type_name(transformer_->dtype());
    summary_.kv_dtype = type_name(DType::bf16);
    summary_.weight_bytes = transformer_->weight_bytes();
    summary_.kv_bytes_per_token = transformer_->block_bytes() / block_positions;
  }
  text_ = std::make_unique<const ModelText>(text.get());
  can_sample_ = transformer_->prepare_sampling(text_->vocabulary);
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
  const ContextMemory memory = context_memory(summary_);
  const std::uint64_t share = transformer_->free_block_bytes();
  if (memory.needed(prompt.size(), limits) <= share) return;
  // The prompt's own context is one that no particle needs to stand on.
  const std::uint64_t particles =
      std::max<std::uint64_t>(memory.most_contexts(prompt.size(), limits.new_tokens, share), 1) - 1;
  const int tokens = std::min(memory.most_new_tokens(prompt.size(), limits.contexts, share), limits.new_tokens - 1);
  const bool kv_can_shrink = summary_.device == "cpu" && summary_.kv_dtype != "int8" && cpu::has_vnni();
  std::string advice = std::string("use ") + (kv_can_shrink ? "--kv-dtype int8, " : "") +
                       (summary_.dtype == "int8" ? "" : "--dtype int8, ") + "a smaller model or more nodes";
  if (tokens > 0) advice = "lower --max-tokens to " + std::to_string(tokens);
  if (particles > 0)
    advice = "use at most " + std::to_string(particles) + " particles a rank (with what --spare adds, 0 for none)" +
             (tokens > 0 ? ", or " + advice : "");
  throw UsageError("not enough memory for " + std::to_string(limits.contexts) + " contexts of " +
                   std::to_string(limits.new_tokens) + " new tokens on a rank (they may take " +
                   megabytes(memory.needed(prompt.size(), limits)) + ", free are " + megabytes(share) +
                   (sharers_ > 1 ? std::string(" for each of ") + sharing_ + std::to_string(sharers_) + " ranks" : "") +
                   ") " + advice);
}

std::unique_ptr<ContextTree> TransformerModel::open(std::span<const TokenId> prompt, ContextLimits limits) const {
  check_prompt(prompt, limits.new_tokens);
  check_memory(prompt, limits);
  return std::make_unique<TransformerTree>(*transformer_, prompt, can_sample_,
                                           context_memory(summary_).blocks(prompt.size(), limits));
}

std::vector<double> TransformerModel::score(std::span<const TokenId> ids) const {
  check_prompt(ids, 0);
  constexpr std::size_t chunk = 128;
  const auto vocabulary_size = static_cast<std::size_t>(summary_.vocabulary_size);
  BlockPool pool(transformer_->block_bytes(), transformer_->block_memory(0));
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
