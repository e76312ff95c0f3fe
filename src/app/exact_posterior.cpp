#include "app/exact_posterior.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "shoal/error.hpp"

namespace shoal::app {
namespace {

constexpr int max_contexts = 2'000'000;

class Enumeration {
 public:
  Enumeration(const LanguageModel& model, std::span<const TokenId> prompt, std::span<const PotentialPtr> potentials,
              const smc::Options& options)
      : vocabulary_(model.vocabulary()),
        tree_(model.open(prompt, {.contexts = options.max_tokens + 2, .new_tokens = options.max_tokens})),
        potentials_(potentials),
        options_(options) {}

  std::map<std::string, double> run() {
    std::vector<PotentialState> start;
    for (const PotentialPtr& potential : potentials_) start.push_back(potential->start());
    visit(tree_->root(), start, "", 1.0, 0);
    double total = 0.0;
    for (const auto& [text, weight] : weight_) total += weight;
    if (total <= 0.0)
      throw UsageError("no exact posterior (no text of the model satisfies the potentials) change them or max-tokens");
    for (auto& [text, weight] : weight_) weight /= total;
    return std::move(weight_);
  }

 private:
  /// Probabilities of the tokens with text, the end of sequence last.
  std::vector<double> next(ContextId context) {
    std::vector<float> logits(static_cast<std::size_t>(vocabulary_.size()));
    tree_->forward(std::span(&context, 1), logits);
    const auto end = vocabulary_.end_tokens();
    const auto is_end = [&](TokenId id) { return std::find(end.begin(), end.end(), id) != end.end(); };
    const float largest = *std::max_element(logits.begin(), logits.end());
    std::vector<double> p(logits.size() + 1, 0.0);
    double total = 0.0;
    for (std::size_t v = 0; v < logits.size(); ++v) {
      const TokenId id{static_cast<TokenId::value_type>(v)};
      if (!is_end(id) && !vocabulary_.text_tokens().test(id)) continue;
      const double x = std::exp((static_cast<double>(logits[v]) - largest) / options_.temperature);
      (is_end(id) ? p.back() : p[v]) += x;
      total += x;
    }
    for (double& x : p) x /= total;
    return p;
  }

  void visit(ContextId context, const std::vector<PotentialState>& states, const std::string& text, double p,
             int tokens) {
    if (++contexts_ > max_contexts)
      throw UsageError("no exact posterior (more than " + std::to_string(max_contexts) +
                       " token sequences) make max-tokens smaller or leave exact-posterior out");
    const std::vector<double> row = next(context);
    end_text(states, text, p * row.back());
    if (tokens == options_.max_tokens) return;
    for (std::size_t v = 0; v + 1 < row.size(); ++v)
      if (row[v] > 0.0) follow(context, TokenId{static_cast<TokenId::value_type>(v)}, states, text, p * row[v], tokens);
  }

  void follow(ContextId context, TokenId token, std::vector<PotentialState> states, const std::string& text, double p,
              int tokens) {
    const std::string_view bytes = vocabulary_.bytes(token);
    for (std::size_t k = 0; k < potentials_.size(); ++k) {
      potentials_[k]->advance(states[k], bytes);
      if (std::isinf(potentials_[k]->log_prefix(states[k]))) return;
    }
    const ContextId child = tree_->extend(context, token);
    visit(child, states, text + std::string(bytes), p, tokens + 1);
    tree_->release(child);
  }

  void end_text(const std::vector<PotentialState>& states, const std::string& text, double p) {
    for (std::size_t k = 0; k < potentials_.size(); ++k) p *= std::exp(potentials_[k]->log_complete(states[k]));
    if (p > 0.0) weight_[text] += p;
  }

  const Vocabulary& vocabulary_;
  std::unique_ptr<ContextTree> tree_;
  std::span<const PotentialPtr> potentials_;
  const smc::Options& options_;
  std::map<std::string, double> weight_;
  int contexts_ = 0;
};

}  // namespace

void check_enumerable(const LanguageModel& model, const smc::Options& options) {
  if (model.summary().architecture != "tabular")
    throw UsageError("exact-posterior is not possible (model " + model.summary().id +
                     " is not tabular, its texts cannot be enumerated) use it with tabular:FILE");
  if (options.top_k != 0 || options.top_p < 1.0 || options.min_p > 0.0 || !options.stop.empty())
    throw UsageError(
        "exact-posterior is not possible (with top-k, top-p, min-p or stop the target is not that of the whole model) "
        "leave them out");
}

std::map<std::string, double> exact_posterior(const LanguageModel& model, std::span<const TokenId> prompt,
                                              std::span<const PotentialPtr> potentials, const smc::Options& options) {
  return Enumeration(model, prompt, potentials, options).run();
}

double total_variation(const std::map<std::string, double>& a, const std::map<std::string, double>& b) {
  double sum = 0.0;
  for (const auto& [text, p] : a) {
    const auto other = b.find(text);
    sum += std::abs(p - (other == b.end() ? 0.0 : other->second));
  }
  for (const auto& [text, p] : b)
    if (!a.contains(text)) sum += p;
  return sum / 2;
}

}  // namespace shoal::app
