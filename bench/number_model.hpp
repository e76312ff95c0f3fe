// NumberModel: a transformer whose tokens are numbers and which never ends a text, so that every run has all its
// tokens; and such a run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "lm/context_memory.hpp"
#include "lm/transformer_tree.hpp"
#include "shoal/language_model.hpp"
#include "smc/run.hpp"

namespace shoal::bench {

class NumberModel final : public LanguageModel {
 public:
  explicit NumberModel(std::unique_ptr<lm::Transformer> transformer)
      : transformer_(std::move(transformer)),
        vocabulary_(numbers(config().vocabulary_size), {}),
        can_sample_(transformer_->prepare_sampling(vocabulary_)) {
    summary_.vocabulary_size = config().vocabulary_size;
  }

  [[nodiscard]] const ModelSummary& summary() const override { return summary_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return vocabulary_; }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view, SpecialTokens) const override { return {}; }
  [[nodiscard]] std::string decode(std::span<const TokenId>) const override { return {}; }
  [[nodiscard]] std::string piece(TokenId id) const override { return std::to_string(id.value()); }
  [[nodiscard]] bool has_chat_template() const override { return false; }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage>) const override { return {}; }
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt,
                                                  ContextLimits limits) const override {
    return std::make_unique<TimedTree>(*transformer_, prompt, can_sample_, limits, &seconds_);
  }
  [[nodiscard]] std::vector<double> score(std::span<const TokenId>) const override { return {}; }
  [[nodiscard]] const lm::TransformerConfig& config() const { return transformer_->config(); }
  [[nodiscard]] const lm::Transformer& transformer() const { return *transformer_; }
  /// Of the last run's forward passes.
  [[nodiscard]] const lm::ForwardSeconds& seconds() const { return seconds_; }

 private:
  class TimedTree final : public lm::TransformerTree {
   public:
    TimedTree(const lm::Transformer& transformer, std::span<const TokenId> prompt, bool can_sample,
              ContextLimits limits, lm::ForwardSeconds* seconds)
        : TransformerTree(transformer, prompt, can_sample, lm::ContextMemory{}.blocks(prompt.size(), limits)),
          seconds_(seconds) {}
    ~TimedTree() override { *seconds_ = seconds(); }

   private:
    lm::ForwardSeconds* seconds_;
  };

  static std::vector<std::string> numbers(int count) {
    std::vector<std::string> texts;
    for (int i = 0; i < count; ++i) texts.push_back(std::to_string(i) + " ");
    return texts;
  }

  std::unique_ptr<lm::Transformer> transformer_;
  Vocabulary vocabulary_;
  bool can_sample_;
  ModelSummary summary_;
  mutable lm::ForwardSeconds seconds_;
};

/// @p size tokens, drawn evenly from those of the model.
inline std::vector<TokenId> random_prompt(const LanguageModel& model, int size) {
  std::vector<TokenId> ids;
  for (int i = 0; i < size; ++i)
    ids.emplace_back(
        static_cast<int>(random_bits({7}, 0, LogicalId{static_cast<std::uint32_t>(i)}, Purpose::synthetic) %
                         static_cast<std::uint64_t>(model.vocabulary().size())));
  return ids;
}

/// A run of the SMC loop in one process, without potentials: nearly every particle is a distinct context.
/// @param prompt tokens @param micro_batches see smc::Options
inline smc::RunResult decode(const NumberModel& model, int prompt, int particles, int tokens, int micro_batches = 1) {
  const std::vector<TokenId> ids = random_prompt(model, prompt);
  smc::Options options;
  options.particles = particles;
  options.max_tokens = tokens + 1;  // no forced end
  options.batch_size = 10;
  options.micro_batches = micro_batches;
  smc::SingleProcess transport;
  struct Counter final : smc::Observer {
    void on_batch(const smc::BatchRecord&) override {}
  } observer;
  return smc::run(model, ids, {}, options, transport, &observer);
}

}  // namespace shoal::bench
