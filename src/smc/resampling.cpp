#include "smc/resampling.hpp"

#include <algorithm>
#include <numeric>

#include "base/assert.hpp"

namespace shoal::smc {
namespace {

/// floor(word / 2^64 * total): a uniform integer below @p total, which may have up to 96 bits.
Uint128 scaled(std::uint64_t word, Uint128 total) {
  const auto low = static_cast<std::uint64_t>(total);
  const auto high = static_cast<std::uint64_t>(total >> 64U);
  return Uint128{word} * high + (Uint128{word} * low >> 64U);
}

/// Number of teeth v + k Q, k = 0..N-1, that lie below N C.
class Comb {
 public:
  Comb(const Stretch& s, std::uint64_t word) : s_(s), offset_(scaled(word, s.total)) {}
  [[nodiscard]] std::uint64_t teeth_below(Uint128 sum) const {
    const Uint128 reach = s_.particles * sum;
    return reach <= offset_ ? 0 : static_cast<std::uint64_t>((reach - offset_ + s_.total - 1) / s_.total);
  }

 private:
  const Stretch& s_;
  Uint128 offset_;
};

/// As Comb, with an offset of its own for each of the N strata; word(k) gives the k-th.
template <class Word>
class Strata {
 public:
  Strata(const Stretch& s, const Word& word) : s_(s), word_(word) {}
  [[nodiscard]] std::uint64_t teeth_below(Uint128 sum) const {
    const Uint128 reach = s_.particles * sum;
    const auto stratum = static_cast<std::uint64_t>(reach / s_.total);
    const bool one_more = stratum < s_.particles && scaled(word_(stratum), s_.total) < reach % s_.total;
    return stratum + (one_more ? 1 : 0);
  }

 private:
  const Stretch& s_;
  const Word& word_;
};

template <class Teeth>
std::vector<std::uint32_t> counts_between(const Stretch& s, const Teeth& teeth) {
  std::vector<std::uint32_t> counts(s.q.size());
  Uint128 sum = s.before;
  std::uint64_t before = teeth.teeth_below(sum);
  for (std::size_t i = 0; i < s.q.size(); ++i) {
    const std::uint64_t below = teeth.teeth_below(sum += s.q[i]);
    counts[i] = static_cast<std::uint32_t>(below - before);
    before = below;
  }
  return counts;
}

/// Adds one child for each of the first words that falls into the stretch, drawn in proportion to the weights.
template <class Word>
void add_multinomial(const Stretch& s, std::size_t draws, const Word& word, std::vector<std::uint32_t>* counts) {
  std::vector<Uint128> sums(s.q.size());
  Uint128 sum = s.before;
  for (std::size_t i = 0; i < s.q.size(); ++i) sums[i] = sum += s.q[i];
  for (std::size_t k = 0; k < draws; ++k) {
    const Uint128 tooth = scaled(word(k), s.total);
    if (tooth < s.before || tooth >= sum) continue;
    const auto chosen = std::upper_bound(sums.begin(), sums.end(), tooth);
    ++(*counts)[static_cast<std::size_t>(chosen - sums.begin())];
  }
}

template <class Word>
std::vector<std::uint32_t> counts_of(Resampling scheme, const Stretch& s, const Word& word) {
  if (scheme == Resampling::systematic) return counts_between(s, Comb(s, word(0)));
  if (scheme == Resampling::stratified) return counts_between(s, Strata(s, word));
  std::vector<std::uint32_t> counts(s.q.size());
  add_multinomial(s, s.particles, word, &counts);
  return counts;
}

Stretch whole(std::span<const std::uint64_t> q) {
  Stretch all{.q = q, .before = 0, .total = 0, .particles = q.size()};
  for (const std::uint64_t weight : q) all.total += weight;
  return all;
}

/// The k-th word of a resampling.
auto word_source(Resampling scheme, RandomKey key, std::uint32_t batch) {
  const Purpose purpose = scheme == Resampling::residual ? Purpose::residual : Purpose::resample;
  return [=](std::size_t k) { return random_bits(key, batch, LogicalId{static_cast<std::uint32_t>(k)}, purpose); };
}

}  // namespace

std::size_t random_words_needed(Resampling scheme, std::size_t n) { return scheme == Resampling::systematic ? 1 : n; }

std::vector<std::uint64_t> resampling_words(Resampling scheme, std::size_t n, RandomKey key, std::uint32_t batch) {
  const auto word = word_source(scheme, key, batch);
  std::vector<std::uint64_t> words(random_words_needed(scheme, n));
  for (std::size_t k = 0; k < words.size(); ++k) words[k] = word(k);
  return words;
}

/// floor(N q/Q) children each, and N q mod Q.
ResidualShares residual_shares(const Stretch& s) {
  ResidualShares shares;
  for (const std::uint64_t weight : s.q) {
    const Uint128 share = Uint128{weight} * s.particles;
    shares.counts.push_back(static_cast<std::uint32_t>(share / s.total));
    shares.remainders.push_back(static_cast<std::uint64_t>(share % s.total));
  }
  return shares;
}

void add_residual_draws(const Stretch& remainders, std::size_t left, RandomKey key, std::uint32_t batch,
                        std::vector<std::uint32_t>* counts) {
  add_multinomial(remainders, left, word_source(Resampling::residual, key, batch), counts);
}

std::vector<std::uint32_t> offspring_of_stretch(Resampling scheme, const Stretch& stretch, RandomKey key,
                                                std::uint32_t batch) {
  SHOAL_EXPECT(scheme != Resampling::residual);
  return counts_of(scheme, stretch, word_source(scheme, key, batch));
}

std::vector<std::uint32_t> offspring_counts(Resampling scheme, std::span<const std::uint64_t> q,
                                            std::span<const std::uint64_t> words) {
  SHOAL_EXPECT(!q.empty() && words.size() == random_words_needed(scheme, q.size()));
  const auto word = [words](std::size_t k) { return words[k]; };
  if (scheme != Resampling::residual) return counts_of(scheme, whole(q), word);
  ResidualShares shares = residual_shares(whole(q));
  const std::size_t sure = std::accumulate(shares.counts.begin(), shares.counts.end(), std::size_t{0});
  add_multinomial(whole(shares.remainders), q.size() - sure, word, &shares.counts);
  return shares.counts;
}

std::vector<LogicalId> ancestors_of(std::span<const std::uint32_t> offspring) {
  std::vector<LogicalId> ancestors;
  ancestors.reserve(offspring.size());
  for (std::size_t i = 0; i < offspring.size(); ++i)
    ancestors.insert(ancestors.end(), offspring[i], LogicalId{static_cast<std::uint32_t>(i)});
  return ancestors;
}

}  // namespace shoal::smc
