#include "smc/token_distribution.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/assert.hpp"
#include "base/exact_math.hpp"
#include "smc/row_kernels.hpp"

namespace shoal::smc {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// The end of sequence: one outcome, the sum over all end tokens.
class EndOutcome {
 public:
  EndOutcome(std::span<const float> logits, const Vocabulary& vocabulary, double inverse_temperature)
      : inverse_temperature_(inverse_temperature) {
    for (const TokenId id : vocabulary.end_tokens()) logits_.push_back(logits[static_cast<std::size_t>(id.value())]);
  }

  [[nodiscard]] float largest_logit() const {
    return std::accumulate(logits_.begin(), logits_.end(), -infinity, [](float a, float b) { return std::max(a, b); });
  }
  /// Sum of exp((logit - reference) / T).
  [[nodiscard]] double weight(float reference) const {
    double sum = 0.0;
    for (const float logit : logits_) sum += exact_exp(scaled(logit, reference));
    return sum;
  }
  [[nodiscard]] double log_weight(float reference) const {
    std::vector<double> terms;
    for (const float logit : logits_) terms.push_back(scaled(logit, reference));
    return exact_log_sum_exp(terms);
  }

 private:
  [[nodiscard]] double scaled(float logit, float reference) const {
    return (static_cast<double>(logit) - reference) * inverse_temperature_;
  }

  std::vector<float> logits_;
  double inverse_temperature_;
};

float largest_reference(std::span<const ScaledSum> sums) {
  return std::accumulate(sums.begin(), sums.end(), -infinity,
                         [](float largest, const ScaledSum& s) { return std::max(largest, s.reference); });
}

/// An outcome that may survive truncation; the end of sequence has the id one past the vocabulary.
struct Candidate {
  double weight;
  std::size_t id;
};

bool more_probable(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

/// Tokens of positive weight >= threshold; chunks whose sum is below it hold none.
std::vector<Candidate> tokens_above(std::span<const float> weights, std::span<const double> chunk_sums,
                                    double threshold) {
  std::vector<Candidate> found;
  for (std::size_t c = 0; c < chunk_sums.size(); ++c) {
    if (chunk_sums[c] < threshold) continue;
    for (std::size_t v = c * chunk_tokens; v < std::min((c + 1) * chunk_tokens, weights.size()); ++v)
      if (weights[v] > 0.0F && weights[v] >= threshold) found.push_back({weights[v], v});
  }
  return found;
}

double sum_of(std::span<const Candidate> candidates) {
  return std::accumulate(candidates.begin(), candidates.end(), 0.0,
                         [](double sum, const Candidate& c) { return sum + c.weight; });
}

double largest_of(std::span<const Candidate> candidates) {
  return std::accumulate(candidates.begin(), candidates.end(), 0.0,
                         [](double largest, const Candidate& c) { return std::max(largest, c.weight); });
}

/// Whether the outcomes of weight >= @p threshold, @p found, surely contain all that truncation keeps.
bool contain_the_kept(std::span<const Candidate> found, double threshold, Truncation truncation, double total) {
  if (truncation.top_k > 0) return found.size() >= static_cast<std::size_t>(truncation.top_k);
  if (truncation.top_p < 1.0) return sum_of(found) >= truncation.top_p * total;
  return threshold <= truncation.min_p * largest_of(found);
}

/// Drops all but the k most probable.
void keep_top_k(std::size_t k, std::vector<Candidate>* found) {
  if (found->size() <= k) return;
  std::nth_element(found->begin(), found->begin() + static_cast<std::ptrdiff_t>(k), found->end(), more_probable);
  found->resize(k);
}

/// Drops all but the most probable ones, up to and including the one at which their sum reaches @p mass.
void keep_nucleus(double mass, std::vector<Candidate>* found) {
  std::sort(found->begin(), found->end(), more_probable);
  double sum = 0.0;
  std::size_t n = 0;
  while (n < found->size() && sum < mass) sum += (*found)[n++].weight;
  found->resize(n);
}

void drop_improbable(double least, std::vector<Candidate>* found) {
  std::erase_if(*found, [least](const Candidate& c) { return c.weight < least; });
}

/// Index of the entry in which the cumulative sum passes @p target; the last positive one if rounding hides it.
std::size_t entry_at(double target, std::span<const float> weights) {
  double sum = 0.0;
  std::size_t last = 0;
  for (std::size_t v = 0; v < weights.size(); ++v) {
    if (weights[v] <= 0.0F) continue;
    last = v;
    sum += weights[v];
    if (target < sum) break;
  }
  return last;
}

}  // namespace

TokenDistribution::TokenDistribution(std::span<float> logits, const Vocabulary& vocabulary, const TokenMask& allowed,
                                     double temperature, Truncation truncation)
    : weights_(logits), allowed_(allowed.bits), inverse_temperature_(1.0 / temperature) {
  const EndOutcome end(logits, vocabulary, inverse_temperature_);
  std::vector<ScaledSum> of_real(chunks_of(logits.size()));
  std::vector<ScaledSum> of_allowed(of_real.size());
  sum_chunks(logits, vocabulary.text_tokens().bits, allowed_, inverse_temperature_, of_real, of_allowed);

  const float best_real = std::max(largest_reference(of_real), end.largest_logit());
  take_sums(of_real, best_real);
  const double total = sum_of_weights() + end.weight(reference_);
  if (best_real == -infinity) {  // or all NaN
    log_mass_ = log_end_ = exact_log(total);
    return;
  }
  log_end_ = end.log_weight(best_real) - exact_log(total);

  const float best_allowed = std::max(largest_reference(of_allowed), allowed.end ? end.largest_logit() : -infinity);
  if (best_allowed != best_real || of_allowed != of_real) take_sums(of_allowed, best_allowed);
  if (allowed.end && best_allowed > -infinity) end_weight_ = end.weight(best_allowed);
  kept_ = sum_of_weights();
  truncate(truncation);
  log_mass_ =
      (static_cast<double>(best_allowed) - best_real) * inverse_temperature_ + (exact_log(kept_) - exact_log(total));
}

void TokenDistribution::take_sums(std::span<const ScaledSum> sums, float reference) {
  reference_ = reference == -infinity ? 0.0F : reference;
  chunk_references_.clear();
  chunk_sums_.clear();
  for (const ScaledSum& s : sums) {
    chunk_references_.push_back(s.reference == -infinity ? reference_ : s.reference);
    chunk_sums_.push_back(s.sum * scale_of(chunk_sums_.size()));
  }
}

double TokenDistribution::scale_of(std::size_t chunk) const {
  return exact_exp((static_cast<double>(chunk_references_[chunk]) - reference_) * inverse_temperature_);
}

double TokenDistribution::sum_of_weights() const {
  return std::accumulate(chunk_sums_.begin(), chunk_sums_.end(), 0.0) + end_weight_;
}

/// Replaces the logits by weights; nothing more is drawn from logits.
void TokenDistribution::compute_weights() {
  for (std::size_t c = 0; c < chunk_sums_.size(); ++c)
    chunk_sums_[c] = scale_of(c) * exp_in_place(chunk(c), allowed_in(c), chunk_references_[c], inverse_temperature_);
  are_logits_ = false;
}

void TokenDistribution::truncate(Truncation truncation) {
  if (truncation.off() || !(kept_ > 0.0)) return;
  chunk_references_.assign(chunk_references_.size(), reference_);  // so that weights of all chunks compare
  compute_weights();
  kept_ = sum_of_weights();
  std::vector<Candidate> found;
  for (double threshold = kept_ / 64;; threshold = threshold > kept_ * 1e-12 ? threshold / 8 : 0.0) {
    found = tokens_above(weights_, chunk_sums_, threshold);
    if (end_weight_ > 0.0 && end_weight_ >= threshold) found.push_back({end_weight_, weights_.size()});
    if (threshold == 0.0 || contain_the_kept(found, threshold, truncation, kept_)) break;
  }
  if (truncation.top_k > 0) keep_top_k(static_cast<std::size_t>(truncation.top_k), &found);
  if (truncation.top_p < 1.0) keep_nucleus(truncation.top_p * (truncation.top_k > 0 ? sum_of(found) : kept_), &found);
  if (truncation.min_p > 0.0) drop_improbable(truncation.min_p * largest_of(found), &found);

  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  std::fill(weights_.begin(), weights_.end(), 0.0F);
  std::fill(chunk_sums_.begin(), chunk_sums_.end(), 0.0);
  end_weight_ = 0.0;
  for (const Candidate& c : found) {
    if (c.id == weights_.size()) {
      end_weight_ = c.weight;
    } else {
      weights_[c.id] = static_cast<float>(c.weight);
      chunk_sums_[c.id / chunk_tokens] += c.weight;
    }
  }
  kept_ = sum_of_weights();
}

void TokenDistribution::expect_draws(std::size_t draws) {
  if (are_logits_ && draws >= chunk_sums_.size() && kept_ > 0.0) compute_weights();
}

std::optional<TokenId> TokenDistribution::draw(double uniform) const {
  SHOAL_EXPECT(kept_ > 0.0);
  double target = uniform * kept_;
  std::size_t c = 0;
  while (c < chunk_sums_.size() && target >= chunk_sums_[c]) target -= chunk_sums_[c++];
  if (c == chunk_sums_.size()) {
    if (end_weight_ > 0.0) return std::nullopt;
    do --c;  // rounding has led past the last token
    while (chunk_sums_[c] <= 0.0);
    target = chunk_sums_[c];
  }
  Chunk room;
  const std::size_t entry = entry_at(target / scale_of(c), weights_of(c, &room));
  return TokenId{static_cast<std::int32_t>(c * chunk_tokens + entry)};
}

std::span<float> TokenDistribution::chunk(std::size_t c) const {
  const std::size_t begin = c * chunk_tokens;
  return weights_.subspan(begin, std::min(chunk_tokens, weights_.size() - begin));
}

TokenBits TokenDistribution::allowed_in(std::size_t c) const {
  return std::span(allowed_).subspan(c * chunk_tokens / 64);
}

std::span<const float> TokenDistribution::weights_of(std::size_t c, Chunk* room) const {
  const auto part = chunk(c);
  if (!are_logits_) return part;
  const auto weights = std::span(*room).first(part.size());
  std::copy(part.begin(), part.end(), weights.begin());
  (void)exp_in_place(weights, allowed_in(c), chunk_references_[c], inverse_temperature_);
  return weights;
}

double TokenDistribution::probability(std::optional<TokenId> outcome) const {
  if (!outcome) return end_weight_ / kept_;
  const auto id = static_cast<std::size_t>(outcome->value());
  const std::size_t c = id / chunk_tokens;
  Chunk room;
  return weights_of(c, &room)[id % chunk_tokens] * scale_of(c) / kept_;
}

}  // namespace shoal::smc
