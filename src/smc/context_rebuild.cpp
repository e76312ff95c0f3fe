#include "smc/context_rebuild.hpp"

#include <algorithm>
#include <map>

#include "base/aligned.hpp"

namespace shoal::smc {
namespace {

using Tokens = std::span<const TokenId>;

/// Limits of one forward pass: logits held (64 MiB) and tokens computed.
constexpr std::size_t max_logits = std::size_t{1} << 24U;
constexpr std::size_t max_tokens = 2048;

bool precedes(Tokens a, Tokens b) { return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end()); }

Tokens common_prefix(Tokens a, Tokens b) {
  return a.first(static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin()));
}

bool begins_with(Tokens tokens, Tokens prefix) {
  return tokens.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

/// A sequence to compute, and the longest other one that it begins with.
struct Stem {
  Tokens tokens;
  std::size_t parent = 0;
  std::size_t level = 0;  ///< number of sequences that it begins with
  ContextReference context;
};

/// @p sequences and the places where they part, in lexicographical order, so that parents come before their children.
/// The first is the empty sequence.
std::vector<Stem> stems_of(std::vector<Tokens> sequences) {
  std::sort(sequences.begin(), sequences.end(), precedes);
  const std::size_t count = sequences.size();
  for (std::size_t i = 1; i < count; ++i) sequences.push_back(common_prefix(sequences[i - 1], sequences[i]));
  sequences.emplace_back();
  std::sort(sequences.begin(), sequences.end(), precedes);
  const auto same = [](Tokens a, Tokens b) { return std::ranges::equal(a, b); };
  sequences.erase(std::unique(sequences.begin(), sequences.end(), same), sequences.end());

  std::vector<Stem> stems;
  for (const Tokens tokens : sequences) {
    Stem stem{tokens, 0, 0, {}};
    if (!stems.empty()) {
      stem.parent = stems.size() - 1;
      while (!begins_with(tokens, stems[stem.parent].tokens)) stem.parent = stems[stem.parent].parent;
      stem.level = stems[stem.parent].level + 1;
    }
    stems.push_back(std::move(stem));
  }
  return stems;
}

/// Forward passes over contexts, as many at a time as the limits allow. Their logits are dropped.
class Prefill {
 public:
  Prefill(ContextTree* tree, std::size_t vocabulary_size) : tree_(tree), row_size_(vocabulary_size) {}

  void add(ContextId context, std::size_t tokens) {
    if (!contexts_.empty() && (tokens_ + tokens > max_tokens || (contexts_.size() + 1) * row_size_ > max_logits))
      flush();
    contexts_.push_back(context);
    tokens_ += tokens;
  }
  void flush() {
    if (contexts_.empty()) return;
    logits_.resize(std::max(logits_.size(), contexts_.size() * row_size_));
    tree_->forward(contexts_, std::span(logits_).first(contexts_.size() * row_size_));
    contexts_.clear();
    tokens_ = 0;
  }

 private:
  ContextTree* tree_;
  std::size_t row_size_;
  std::vector<ContextId> contexts_;
  std::size_t tokens_ = 0;
  AlignedVector<float> logits_;
};

/// Level by level, so that a stem is computed when those that begin with it are.
void compute(ContextTree* tree, std::size_t vocabulary_size, std::vector<Stem>* stems) {
  std::map<std::size_t, std::vector<Stem*>> by_level;
  for (Stem& stem : *stems) by_level[stem.level].push_back(&stem);
  stems->front().context = ContextReference(tree, tree->insert({}));
  by_level.erase(0);
  Prefill prefill(tree, vocabulary_size);
  for (const auto& [level, of_level] : by_level) {
    for (Stem* stem : of_level) {
      stem->context = ContextReference(tree, tree->insert(stem->tokens));
      prefill.add(stem->context.id(), stem->tokens.size() - (*stems)[stem->parent].tokens.size());
    }
    prefill.flush();
  }
}

}  // namespace

std::vector<ContextReference> rebuild_contexts(ContextTree* tree, std::size_t vocabulary_size,
                                               std::span<const Tokens> sequences) {
  std::vector<Tokens> bodies;
  for (const Tokens tokens : sequences) bodies.push_back(tokens.first(tokens.empty() ? 0 : tokens.size() - 1));
  std::vector<Stem> stems = stems_of(bodies);
  compute(tree, vocabulary_size, &stems);

  std::vector<ContextReference> contexts;
  contexts.reserve(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto stem = std::lower_bound(stems.begin(), stems.end(), bodies[i],
                                       [](const Stem& s, Tokens wanted) { return precedes(s.tokens, wanted); });
    const bool whole = bodies[i].size() == sequences[i].size();
    contexts.push_back(whole ? stem->context
                             : ContextReference(tree, tree->extend(stem->context.id(), sequences[i].back())));
  }
  return contexts;
}

void rebuild_growing(ContextTree* tree, std::size_t vocabulary_size, std::span<History> histories) {
  std::vector<Tokens> sequences;
  for (const History& history : histories)
    if (history.status == Status::growing) sequences.emplace_back(history.tokens);
  auto contexts = rebuild_contexts(tree, vocabulary_size, sequences);
  auto next = contexts.begin();
  for (History& history : histories)
    if (history.status == Status::growing) history.context = std::move(*next++);
}

}  // namespace shoal::smc
