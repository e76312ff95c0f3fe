#include "smc/resampling.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "smc/weights.hpp"

namespace shoal::smc {
namespace {

/// floor(word / 2^64 * total): a uniform integer below @p total, which may have up to 96 bits.
Uint128 scaled(std::uint64_t word, Uint128 total) {
  const auto low = static_cast<std::uint64_t>(total);
  const auto high = static_cast<std::uint64_t>(total >> 64U);
  return Uint128{word} * high + (Uint128{word} * low >> 64U);
}

std::vector<Uint128> inclusive_sums(std::span<const std::uint64_t> q) {
  std::vector<Uint128> sums(q.size());
  Uint128 sum = 0;
  for (std::size_t i = 0; i < q.size(); ++i) sums[i] = sum += q[i];
  return sums;
}

/// Number of teeth v + k Q, k = 0..N-1, that lie below N C_i.
std::vector<std::uint32_t> systematic(std::span<const std::uint64_t> q, std::uint64_t word) {
  const std::vector<Uint128> sums = inclusive_sums(q);
  const Uint128 total = sums.back();
  const Uint128 offset = scaled(word, total);
  std::vector<std::uint32_t> counts(q.size());
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < q.size(); ++i) {
    const Uint128 reach = q.size() * sums[i];
    const auto below = reach <= offset ? 0 : static_cast<std::uint64_t>((reach - offset + total - 1) / total);
    counts[i] = static_cast<std::uint32_t>(below - before);
    before = below;
  }
  return counts;
}

/// As systematic, with an offset of its own for each of the N strata.
std::vector<std::uint32_t> stratified(std::span<const std::uint64_t> q, std::span<const std::uint64_t> words) {
  const std::vector<Uint128> sums = inclusive_sums(q);
  const Uint128 total = sums.back();
  std::vector<std::uint32_t> counts(q.size());
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < q.size(); ++i) {
    const Uint128 reach = q.size() * sums[i];
    const auto stratum = static_cast<std::uint64_t>(reach / total);
    const bool tooth_below = stratum < q.size() && scaled(words[stratum], total) < reach % total;
    const std::uint64_t below = stratum + (tooth_below ? 1 : 0);
    counts[i] = static_cast<std::uint32_t>(below - before);
    before = below;
  }
  return counts;
}

/// Adds one child per word, drawn in proportion to the weights.
void add_multinomial(std::span<const std::uint64_t> q, std::span<const std::uint64_t> words,
                     std::vector<std::uint32_t>* counts) {
  const std::vector<Uint128> sums = inclusive_sums(q);
  for (const std::uint64_t word : words) {
    const auto chosen = std::upper_bound(sums.begin(), sums.end(), scaled(word, sums.back()));
    ++(*counts)[static_cast<std::size_t>(chosen - sums.begin())];
  }
}

/// floor(N q/Q) children each; the rest multinomially from the exact remainders N q mod Q.
std::vector<std::uint32_t> residual(std::span<const std::uint64_t> q, std::span<const std::uint64_t> words) {
  const Uint128 total = inclusive_sums(q).back();
  std::vector<std::uint32_t> counts(q.size());
  std::vector<std::uint64_t> remainders(q.size());
  std::size_t left = q.size();
  for (std::size_t i = 0; i < q.size(); ++i) {
    const Uint128 share = Uint128{q[i]} * q.size();
    counts[i] = static_cast<std::uint32_t>(share / total);
    remainders[i] = static_cast<std::uint64_t>(share % total);
    left -= counts[i];
  }
  add_multinomial(remainders, words.first(left), &counts);
  return counts;
}

}  // namespace

std::size_t random_words_needed(Resampling scheme, std::size_t n) { return scheme == Resampling::systematic ? 1 : n; }

std::vector<std::uint64_t> resampling_words(Resampling scheme, std::size_t n, RandomKey key, std::uint32_t batch) {
  const Purpose purpose = scheme == Resampling::residual ? Purpose::residual : Purpose::resample;
  std::vector<std::uint64_t> words(random_words_needed(scheme, n));
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = random_bits(key, batch, LogicalId{static_cast<std::uint32_t>(i)}, purpose);
  return words;
}

std::vector<std::uint32_t> offspring_counts(Resampling scheme, std::span<const std::uint64_t> q,
                                            std::span<const std::uint64_t> words) {
  SHOAL_EXPECT(!q.empty() && words.size() == random_words_needed(scheme, q.size()));
  switch (scheme) {
    case Resampling::systematic:
      return systematic(q, words.front());
    case Resampling::stratified:
      return stratified(q, words);
    case Resampling::residual:
      return residual(q, words);
    case Resampling::multinomial:
      break;
  }
  std::vector<std::uint32_t> counts(q.size());
  add_multinomial(q, words, &counts);
  return counts;
}

std::vector<LogicalId> ancestors_of(std::span<const std::uint32_t> offspring) {
  std::vector<LogicalId> ancestors;
  ancestors.reserve(offspring.size());
  for (std::size_t i = 0; i < offspring.size(); ++i)
    ancestors.insert(ancestors.end(), offspring[i], LogicalId{static_cast<std::uint32_t>(i)});
  return ancestors;
}

}  // namespace shoal::smc
