#include "distinct_contexts.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "number_model.hpp"
#include "shoal/potential.hpp"
#include "smc/run.hpp"

namespace shoal::bench {
namespace {

/// Forward passes so far.
struct Passes {
  std::size_t count = 0;
  std::size_t contexts = 0;  ///< of all of them
};

/// A model's tree that counts what it computes.
class CountingTree final : public ContextTree {
 public:
  CountingTree(std::unique_ptr<ContextTree> tree, Passes* passes) : tree_(std::move(tree)), passes_(passes) {}

  [[nodiscard]] ContextId root() const override { return tree_->root(); }
  ContextId extend(ContextId parent, TokenId token) override { return tree_->extend(parent, token); }
  void retain(ContextId context) override { tree_->retain(context); }
  void release(ContextId context) override { tree_->release(context); }
  void forward(std::span<const ContextId> contexts, std::span<float> logits) override {
    ++passes_->count;
    passes_->contexts += contexts.size();
    tree_->forward(contexts, logits);
  }
  ContextId insert(std::span<const TokenId> tokens) override { return tree_->insert(tokens); }
  [[nodiscard]] std::size_t live_contexts() const override { return tree_->live_contexts(); }
  [[nodiscard]] std::size_t live_blocks() const override { return tree_->live_blocks(); }

 private:
  std::unique_ptr<ContextTree> tree_;
  Passes* passes_;
};

class CountingModel final : public LanguageModel {
 public:
  explicit CountingModel(const LanguageModel& model) : model_(model) {}

  [[nodiscard]] const ModelSummary& summary() const override { return model_.summary(); }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return model_.vocabulary(); }
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens special) const override {
    return model_.encode(text, special);
  }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const override { return model_.decode(ids); }
  [[nodiscard]] std::string piece(TokenId id) const override { return model_.piece(id); }
  [[nodiscard]] bool has_chat_template() const override { return model_.has_chat_template(); }
  [[nodiscard]] std::string render_chat(std::span<const ChatMessage> messages) const override {
    return model_.render_chat(messages);
  }
  [[nodiscard]] std::unique_ptr<ContextTree> open(std::span<const TokenId> prompt,
                                                  ContextLimits limits) const override {
    return std::make_unique<CountingTree>(model_.open(prompt, limits), &passes);
  }
  [[nodiscard]] std::vector<double> score(std::span<const TokenId> ids) const override { return model_.score(ids); }

  mutable Passes passes;

 private:
  const LanguageModel& model_;
};

struct Job {
  const char* name;
  const char* prompt;
  std::vector<PotentialPtr> potentials;
};

std::vector<Job> jobs() {
  const char* const question = "Tell me about parallel processing.";
  return {
      {"none", question, {}},
      {"a sentence, conversational", question, {regex_potential(".*[.!?]"), style_potential(conversational_style())}},
      {"one of few beginnings",
       question,
       {regex_potential("(Parallel processing|Parallel computing|It) (is|means|lets|splits)[^.]{0,80}\\.")}},
      {"a choice", "Is water wet?", {regex_potential("(Yes|No)(, (it is|I think so|not always))?\\.")}}};
}

std::vector<TokenId> ask(const LanguageModel& model, const char* text) {
  if (!model.has_chat_template()) return model.encode(text, SpecialTokens::yes);
  const ChatMessage message{"user", text};
  return model.encode(model.render_chat({&message, 1}), SpecialTokens::no);
}

smc::RunResult run_job(const LanguageModel& model, const Job& job, int particles) {
  smc::Options options;
  options.particles = particles;
  options.max_tokens = 100;
  smc::SingleProcess transport;
  return smc::run(model, ask(model, job.prompt), job.potentials, options, transport);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Greedy: all particles draw the most probable token.
smc::RunResult run_greedily(const LanguageModel& model, std::span<const TokenId> prompt, int particles, int tokens) {
  smc::Options options;
  options.particles = particles;
  options.max_tokens = tokens;
  options.top_k = 1;
  smc::SingleProcess transport;
  return smc::run(model, prompt, {}, options, transport);
}

}  // namespace

void report_jobs(const LanguageModel& model, const std::vector<int>& particles) {
  std::printf(
      "| constraint | particles | distinct contexts per step | particles per context | particle-tokens/s | of one "
      "particle's |\n|---|---|---|---|---|---|\n");
  for (const Job& job : jobs()) {
    (void)run_job(model, job, 10);  // masks are made on first use
    double alone = 0.0;
    for (const int n : particles) {
      const CountingModel counting(model);
      const smc::RunResult run = run_job(counting, job, n);
      const double contexts = static_cast<double>(counting.passes.contexts) / static_cast<double>(run.token_steps);
      const double speed = static_cast<double>(run.particle_tokens) / run.wall_s;
      if (alone == 0.0) alone = static_cast<double>(run.particle_tokens) / run.wall_s / n;
      std::printf("| %s | %d | %.1f | %.1f | %.0f | %.1f x |\n", job.name, n, contexts,
                  static_cast<double>(run.particle_tokens) / static_cast<double>(counting.passes.contexts), speed,
                  speed / alone);
      std::fflush(stdout);
    }
  }
}

void report_shared_text(const LanguageModel& model, int prompt, int tokens, const std::vector<int>& particles) {
  const std::vector<TokenId> ids = random_prompt(model, prompt);
  constexpr int repetitions = 5;
  std::printf("\n| particles, all with the same text | seconds | of one particle's |\n|---|---|---|\n");
  (void)run_greedily(model, ids, 1, tokens);
  for (const int n : particles) {
    std::vector<double> one, all;
    for (int i = 0; i < repetitions; ++i) {
      one.push_back(run_greedily(model, ids, 1, tokens).wall_s);
      all.push_back(run_greedily(model, ids, n, tokens).wall_s);
    }
    std::printf("| %d | %.3f | %.3f x |\n", n, median(all), median(all) / median(one));
    std::fflush(stdout);
  }
}

}  // namespace shoal::bench
