// LanguageModel: next-token logits for many contexts at once. Contexts are nodes of a tree of distinct token sequences;
// equal contexts are one node and are computed once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/ids.hpp"
#include "shoal/vocabulary.hpp"

namespace shoal {

struct ChatMessage {
  std::string role;  ///< system, user or assistant
  std::string content;
};

/// How many contexts a tree must be able to hold at once, and how far beyond the prompt they grow.
struct ContextLimits {
  int contexts = 1;
  int new_tokens = 0;
};

/// A context on its way from another rank's tree for the same prompt.
struct ExpectedContext {
  ContextId context;              ///< with one reference; nothing may be computed from it before its data has come
  std::uint32_t first_block = 0;  ///< the first block of 16 positions that is missing, counted from the prompt's start
  std::uint64_t bytes = 0;        ///< of the missing blocks; 0: complete as it is
};

/// What all draws of a run have in common: see smc/token_distribution.hpp for the distribution that they define.
struct Sampling {
  double temperature = 1.0;
  int top_k = 0;       ///< 0 = off; the end of sequence counts as one token
  double top_p = 1.0;  ///< 1 = off
  double min_p = 0.0;  ///< 0 = off
};

/// One distinct context, how many tokens are drawn from it and what of.
struct ContextDraws {
  ContextId context;
  std::shared_ptr<const TokenMask> allowed;  ///< real tokens that may be drawn
  std::vector<double> uniforms;              ///< in (0, 1), one per draw

  double log_mass = 0.0;  ///< result: ln of the mass of p that the draws' distribution covers
  double log_end = 0.0;   ///< result: ln p(end of sequence)
  /// Result, by draw: a token, or nothing for the end of sequence. Empty unless log_mass is finite.
  std::vector<std::optional<TokenId>> tokens;
};

/// One rank's contexts for one prompt. Not thread-safe; may use the rank's worker threads inside.
class ContextTree {
 public:
  virtual ~ContextTree() = default;

  /// The prompt. The tree keeps a reference of its own to it.
  [[nodiscard]] virtual ContextId root() const = 0;
  /// The context @p parent + @p token, with one reference more than before; equal arguments give the same node while it
  /// lives. Computes nothing.
  virtual ContextId extend(ContextId parent, TokenId token) = 0;
  virtual void retain(ContextId context) = 0;
  virtual void release(ContextId context) = 0;
  /// Next-token logits of distinct contexts, in their order: @p logits is [contexts.size(), vocabulary size],
  /// row-major. A row's bits depend on its context only, not on the other rows, nor on the number of threads. May be
  /// called again for the same context.
  virtual void forward(std::span<const ContextId> contexts, std::span<float> logits) = 0;
  /// Whether the processor that computes the logits can draw from them itself, so that they need not leave it.
  [[nodiscard]] virtual bool can_sample() const { return false; }
  /// As forward(), then draws; only if can_sample(). Returns while the processor is at work: the results are there
  /// after finish_sampling(), and @p draws must stay until then. Between the two the tree may be changed, but nothing
  /// else be computed.
  virtual void start_sampling(const Sampling& /*how*/, std::span<ContextDraws> /*draws*/) {}
  virtual void finish_sampling() {}
  /// The context prompt + @p tokens, with one reference more than before. A new one shares the key/value data that some
  /// live context has of it; the next forward pass computes the rest.
  virtual ContextId insert(std::span<const TokenId> tokens) = 0;

  // A context moves to another rank's tree together with its key/value data: `expect` there says which blocks are
  // missing, `pack` here gives them, `unpack` there fills them in. A tree without such data needs only insert.
  /// Positions, those of the prompt included, whose key/value data the context has.
  [[nodiscard]] virtual std::uint32_t computed(ContextId /*context*/) const { return 0; }
  /// As insert, with room for the data of the first @p computed positions as far as no live context has it. Contexts
  /// expected later may share that room before it is filled.
  virtual ExpectedContext expect(std::span<const TokenId> tokens, std::uint32_t /*computed*/) {
    return {.context = insert(tokens)};
  }
  /// The blocks from @p first_block on that hold the first @p computed positions of @p context.
  [[nodiscard]] virtual std::string pack(ContextId /*context*/, std::uint32_t /*first_block*/,
                                         std::uint32_t /*computed*/) const {
    return {};
  }
  virtual void unpack(const ExpectedContext& /*expected*/, std::string_view /*packed*/) {}
  /// Where these blocks lie, each by itself, for whoever moves them from one processor's memory to another's instead.
  [[nodiscard]] virtual std::vector<std::span<std::byte>> blocks(ContextId /*context*/, std::uint32_t /*first_block*/,
                                                                 std::uint32_t /*computed*/) {
    return {};
  }
  /// Distinct live contexts / live key-value blocks, for the trace.
  [[nodiscard]] virtual std::size_t live_contexts() const = 0;
  [[nodiscard]] virtual std::size_t live_blocks() const = 0;
};

/// Of a transformer: embedding, attention, mlp or head.
struct ModelPart {
  std::string name;
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;  ///< as computed with; the embedding, which is only looked up, as stored
};

struct ModelSummary {
  std::string id;             ///< directory, hub id or file as the user gave it
  std::string architecture;   ///< e.g. LlamaForCausalLM, tabular
  std::string device;         ///< cpu, or the GPU's name after "cuda: "
  std::string isa = {};       ///< instruction set that computes it, see --isa; empty if that makes no difference
  std::string dtype;          ///< f32, bf16 or int8, as computed
  std::string kv_dtype = {};  ///< of a transformer's keys and values: f32, bf16 or int8, as kept
  std::string hash;           ///< fingerprint of configuration and weights, hex
  std::uint64_t parameters = 0;
  std::uint64_t weight_bytes = 0;
  std::uint64_t kv_bytes_per_token = 0;
  int vocabulary_size = 0;
  int max_context = 0;                ///< tokens
  int window = 0;                     ///< tokens that one sees in the layers where it sees most; 0: all
  std::vector<ModelPart> parts = {};  ///< of a transformer
};

enum class SpecialTokens { no, yes };

/// A model with its tokenizer. Immutable; shared by every run of a rank.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  [[nodiscard]] virtual const ModelSummary& summary() const = 0;
  [[nodiscard]] virtual const Vocabulary& vocabulary() const = 0;
  /// @throws UsageError if @p text is not UTF-8 or has a character that the model cannot represent
  [[nodiscard]] virtual std::vector<TokenId> encode(std::string_view text, SpecialTokens add_special) const = 0;
  [[nodiscard]] virtual std::string decode(std::span<const TokenId> ids) const = 0;
  /// A token as `shoal tokenize` shows it.
  [[nodiscard]] virtual std::string piece(TokenId id) const = 0;
  [[nodiscard]] virtual bool has_chat_template() const = 0;
  /// The conversation as the model expects it, ready for encode(..., SpecialTokens::no), the assistant's turn opened.
  [[nodiscard]] virtual std::string render_chat(std::span<const ChatMessage> messages) const = 0;
  /// Prefills @p prompt (non-empty for transformers).
  /// @throws UsageError if prompt + new tokens exceed the context length or the memory at hand
  [[nodiscard]] virtual std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt,
                                                          ContextLimits limits) const = 0;
  /// log p(ids[i] | ids[0..i-1]) in nats; entry 0 is NaN (nothing before it) unless the model has a start distribution.
  [[nodiscard]] virtual std::vector<double> score(std::span<const TokenId> ids) const = 0;
};

enum class DType { automatic, f32, bf16, int8 };

/// Of keys and values. Automatic: as the operands of the products are; under int8 these are bf16 before they are
/// rounded.
enum class KvDType { automatic, int8 };

/// This process among those of its node that load one model at the same time. They share the node's memory, and, with
/// a common file, one copy of the weights: then none may use the model before all have loaded it.
struct NodeShare {
  int process = 0;
  int processes = 1;
  int file = -1;                  ///< descriptor of an empty file without a size limit that all have open; -1: none
  std::uint64_t free_memory = 0;  ///< bytes, before any of them began to load; 0: not measured
};

/// The processor that computes a model.
struct Device {
  enum class Kind { cpu, cuda };
  Kind kind = Kind::cpu;
  int gpu = 0;    ///< its number among those that the process sees
  int ranks = 1;  ///< that compute on this GPU
};

struct LoadOptions {
  DType dtype = DType::automatic;
  KvDType kv_dtype = KvDType::automatic;
  Device device = {};
  NodeShare node = {};
};

/// @param source a checkpoint directory, a Hugging Face id in the local hub cache, `minnow`, or `tabular:FILE`
/// @throws ModelError, with the download command when a hub id is not in the cache
std::shared_ptr<const LanguageModel> load_model(const std::string& source, const LoadOptions& options = {});

/// What load_model's result would say of itself, without loading the weights.
/// @throws ModelError as load_model
ModelSummary summarize_model(const std::string& source, DType dtype, KvDType kv_dtype = KvDType::automatic);

/// How many contexts of @p new_tokens beyond an empty prompt fit into @p bytes, all of them distinct.
std::uint64_t contexts_that_fit(const ModelSummary& model, int new_tokens, std::uint64_t bytes);

}  // namespace shoal
