// The exact target by enumeration of every path: a second, naive statement of what the run loop must sample.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shoal/potential.hpp"
#include "smc/options.hpp"
#include "smc/toy_model.hpp"

namespace shoal::test {

/// p over the tokens, the end of sequence last; with zeros for what is excluded.
inline std::vector<double> exact_row(const ToyModel& model, std::span<const TokenId> tokens, double temperature) {
  const Vocabulary& vocabulary = model.vocabulary();
  std::vector<double> p = model.next(tokens);
  double end = 0.0;
  for (double& x : p) x = std::pow(x, 1.0 / temperature);
  for (const TokenId id : vocabulary.end_tokens()) end += p[static_cast<std::size_t>(id.value())];
  for (int v = 0; v < vocabulary.size(); ++v)
    if (!vocabulary.text_tokens().test(token(v))) p[static_cast<std::size_t>(v)] = 0.0;
  p.push_back(end);
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= total;
  return p;
}

/// Sets to zero what top-k, top-p and min-p leave out, in this order; does not renormalise.
inline void exact_truncate(std::vector<double>* p, int top_k, double top_p, double min_p) {
  std::vector<std::size_t> order(p->size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return (*p)[a] > (*p)[b]; });
  std::size_t keep = top_k > 0 ? std::min<std::size_t>(order.size(), static_cast<std::size_t>(top_k)) : order.size();
  double total = 0.0;
  for (std::size_t i = 0; i < keep; ++i) total += (*p)[order[i]];
  double sum = 0.0;
  std::size_t nucleus = 0;
  while (nucleus < keep && sum < top_p * total * (1 - 1e-12)) sum += (*p)[order[nucleus++]];
  if (top_p < 1.0) keep = nucleus;
  for (std::size_t i = keep; i < order.size(); ++i) (*p)[order[i]] = 0.0;
  const double best = *std::max_element(p->begin(), p->end());
  for (double& x : *p)
    if (x < min_p * best * (1 - 1e-12)) x = 0.0;
}

/// The first stop string to be complete, found byte by byte, and all that follows is dropped; of those that end there,
/// the longest. Nothing if there is none.
inline std::optional<std::string> cut_at_stop(const std::string& text, std::span<const std::string> stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& s : stops)
      if (text.substr(0, end).ends_with(s)) longest = std::max(longest, s.size());
    if (longest > 0) return text.substr(0, end - longest);
  }
  return std::nullopt;
}

class Enumeration {
 public:
  /// Unnormalised target of every text; with truncation it depends on the proposal, which masks first.
  static std::map<std::string, double> texts(const ToyModel& model, std::span<const PotentialPtr> potentials,
                                             const smc::Options& options) {
    Enumeration e{model, potentials, options};
    std::vector<TokenId> tokens;
    e.visit(&tokens, "", 1.0);
    return e.weight_;
  }

 private:
  Enumeration(const ToyModel& model, std::span<const PotentialPtr> potentials, const smc::Options& options)
      : model_(model), potentials_(potentials), options_(options) {}

  void visit(std::vector<TokenId>* tokens, const std::string& text, double p) {
    std::vector<double> row = exact_row(model_, *tokens, options_.temperature);
    const bool forced = static_cast<int>(tokens->size()) == options_.max_tokens;
    if (!forced) {
      if (options_.proposal != smc::ProposalKind::model) mask(text, &row);
      exact_truncate(&row, options_.top_k, options_.top_p, options_.min_p);
    }
    add(text, p * row.back());
    if (forced) return;
    for (int v = 0; v < model_.vocabulary().size(); ++v) {
      if (row[static_cast<std::size_t>(v)] == 0.0) continue;
      tokens->push_back(token(v));
      step(tokens, text + std::string(model_.vocabulary().bytes(token(v))), p * row[static_cast<std::size_t>(v)]);
      tokens->pop_back();
    }
  }
  /// Sets to zero what some cheap potential's mask excludes, but not what completes a stop string.
  void mask(const std::string& text, std::vector<double>* row) const {
    for (const auto& potential : potentials_) {
      if (potential->cost() == Cost::expensive) continue;
      PotentialState state = potential->start();
      potential->advance(state, text);
      const auto allowed = potential->allowed(state, model_.vocabulary());
      if (!allowed) continue;
      for (int v = 0; v < model_.vocabulary().size(); ++v)
        if (!allowed->test(token(v)) &&
            !cut_at_stop(text + std::string(model_.vocabulary().bytes(token(v))), options_.stop))
          (*row)[static_cast<std::size_t>(v)] = 0.0;
      if (!allowed->end) row->back() = 0.0;
    }
  }
  void step(std::vector<TokenId>* tokens, const std::string& text, double p) {
    if (const auto cut = cut_at_stop(text, options_.stop)) return add(*cut, p);
    for (const auto& potential : potentials_) {
      PotentialState state = potential->start();
      potential->advance(state, text);
      if (potential->log_prefix(state) == -INFINITY) return;
    }
    visit(tokens, text, p);
  }
  void add(const std::string& text, double p) {
    for (const auto& potential : potentials_) {
      PotentialState state = potential->start();
      potential->advance(state, text);
      p *= std::exp(potential->log_complete(state));
    }
    if (p > 0.0) weight_[text] += p;
  }

  const ToyModel& model_;
  std::span<const PotentialPtr> potentials_;
  const smc::Options& options_;
  std::map<std::string, double> weight_;
};

inline double total(const std::map<std::string, double>& weights) {
  double sum = 0.0;
  for (const auto& [text, w] : weights) sum += w;
  return sum;
}

/// Mean and standard error of a sample.
class Sample {
 public:
  void add(double x) {
    ++n_;
    const double d = x - mean_;
    mean_ += d / static_cast<double>(n_);
    squares_ += d * (x - mean_);
  }
  [[nodiscard]] double mean() const { return mean_; }
  [[nodiscard]] double variance() const { return squares_ / static_cast<double>(n_ - 1); }
  [[nodiscard]] double z(double expected) const {
    return (mean_ - expected) / std::sqrt(variance() / static_cast<double>(n_));
  }

 private:
  std::size_t n_ = 0;
  double mean_ = 0.0;
  double squares_ = 0.0;
};

/// |z| beyond which a true hypothesis lies with probability 1e-5.
inline constexpr double z_limit = 4.42;

}  // namespace shoal::test
