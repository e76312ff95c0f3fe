// Draws from rows of logits where they are, so that only tokens and a few numbers per row travel to the host. What is
// drawn from is the distribution of smc/token_distribution.hpp: the model at a temperature over the tokens with text
// and the end of sequence (the sum over all end tokens), restricted to the allowed ones, then to the top k, then to the
// smallest set of mass top_p, then to those at least min_p times as probable as the best one. One block of threads per
// row; tokens are taken in chunks of 512, a chunk by a warp, and all sums have a fixed order. Every draw inverts the
// cumulative distribution at a number of its particle's own.
#pragma once

#include "lm/cuda/kernels/reductions.hpp"

namespace shoal::lm::cuda {

inline constexpr int chunk_tokens = 512;
inline constexpr int sampling_threads = 512;

struct SampleTask {
  const float* logits;  ///< [rows, vocabulary]
  int vocabulary;
  const std::uint32_t* real;            ///< tokens with text, a bit each
  const std::uint32_t* const* allowed;  ///< by row: a subset of them
  const std::uint8_t* end_allowed;      ///< by row
  const int* end_tokens;
  int end_token_count;
  float inverse_temperature;
  int top_k;               ///< 0: off
  double top_p;            ///< 1: off
  double min_p;            ///< 0: off
  const int* draws_begin;  ///< by row, and one more: its entries of uniforms
  const double* uniforms;
  double* log_mass;  ///< by row: ln of what the restricted distribution covers of the whole
  double* log_end;   ///< by row: ln of the end's probability in the whole
  int* tokens;       ///< by draw; the vocabulary's size: the end of sequence; -1: nothing to draw from
};

/// The outcomes that truncation keeps: those whose weight has a key above @p key, and the first @p ties that have it.
struct Threshold {
  std::uint32_t key = 0;
  std::uint32_t ties = 0xFFFFFFFFU;
};

/// Shared memory of a row.
struct SampleScratch {
  double* prefix;            ///< by chunk: allowed weights up to it
  double* real_sums;         ///< by chunk
  float* real_tops;          ///< by chunk
  float* allowed_tops;       ///< by chunk
  std::uint32_t* ties;       ///< by chunk: outcomes that tie with the threshold before it
  double* doubles;           ///< a few
  float* floats;             ///< by warp
  unsigned long long* mass;  ///< [bins] of candidates by 4 bits of their key, in units of 2^-40
  std::uint32_t* counts;     ///< [bins]
  Threshold* threshold;
  unsigned long long* mass_of_threads;  ///< [bins, threads], where something is truncated; as is
  std::uint16_t* counts_of_threads;     ///< [bins, threads]
};

constexpr int sample_chunks(int vocabulary) { return (vocabulary + chunk_tokens - 1) / chunk_tokens; }

inline constexpr int bin_bits = 4;
inline constexpr int bins = 1 << bin_bits;

constexpr bool truncates(const SampleTask& task) { return task.top_k > 0 || task.top_p < 1.0 || task.min_p > 0.0; }

/// Bytes of shared memory.
constexpr int sample_scratch_bytes(int vocabulary, int threads, bool truncated) {
  return sample_chunks(vocabulary) * 28 + 1024 + (truncated ? bins * threads * 10 : 0);
}

template <class Block>
SHOAL_DEVICE SampleScratch lay_out(Block& block, const SampleTask& task) {
  const int chunks = sample_chunks(task.vocabulary), columns = truncates(task) ? bins * block.threads() : 0;
  SampleScratch s;
  s.mass = block.template shared<unsigned long long>(
      sample_scratch_bytes(task.vocabulary, block.threads(), truncates(task)) / 8);
  s.mass_of_threads = s.mass + bins;
  s.doubles = reinterpret_cast<double*>(s.mass_of_threads + columns);
  s.prefix = s.doubles + 8;
  s.real_sums = s.prefix + chunks;
  s.counts = reinterpret_cast<std::uint32_t*>(s.real_sums + chunks);
  s.ties = s.counts + bins;
  s.real_tops = reinterpret_cast<float*>(s.ties + chunks);
  s.allowed_tops = s.real_tops + chunks;
  s.floats = s.allowed_tops + chunks;
  s.threshold = reinterpret_cast<Threshold*>(s.floats + 32);
  s.counts_of_threads = reinterpret_cast<std::uint16_t*>(s.threshold + 1);
  return s;
}

/// A row of the task as a thread sees it.
struct SampleRow {
  const float* logits;
  const std::uint32_t* allowed;
  bool end_allowed;
  float k;  ///< 1 / (temperature * ln 2)
};

/// The thread's token number @p j of a chunk; the 32 threads of a warp have neighbours.
template <class Block>
SHOAL_DEVICE int token_of(Block& block, int chunk, int j) {
  return chunk * chunk_tokens + j * warp_size + block.thread() % warp_size;
}

SHOAL_DEVICE bool is_in(const std::uint32_t* bits, int token) { return (bits[token / 32] >> (token % 32) & 1U) != 0; }

/// exp((x - top) / temperature); NaN stays, -inf gives 0 whatever the top.
SHOAL_DEVICE float weight_of(float x, float top, float k) {
  return x == minus_infinity() ? 0.0F : exp2f((x - top) * k);
}

/// Largest logit and sum of weights relative to it, over one set of tokens of a chunk; by one warp, on all its threads.
template <class Block>
SHOAL_DEVICE double sum_chunk(Block& block, const SampleTask& task, const SampleRow& row, const std::uint32_t* set,
                              int chunk, float* top) {
  float x[chunk_tokens / warp_size];
  float best = minus_infinity();
  SHOAL_UNROLL
  for (int j = 0; j < chunk_tokens / warp_size; ++j) {
    const int token = token_of(block, chunk, j);
    x[j] = token < task.vocabulary && is_in(set, token) ? row.logits[token] : minus_infinity();
    best = larger(x[j], best);
  }
  *top = max_over_warp(block, best);
  float sum = 0.0F;
  SHOAL_UNROLL
  for (int j = 0; j < chunk_tokens / warp_size; ++j) sum += weight_of(x[j], *top, row.k);
  return sum_over_warp(block, static_cast<double>(sum));
}

/// The end's largest logit, and its weight relative to @p top.
SHOAL_DEVICE float end_top(const SampleTask& task, const SampleRow& row) {
  float top = minus_infinity();
  for (int i = 0; i < task.end_token_count; ++i) top = larger(row.logits[task.end_tokens[i]], top);
  return top;
}
SHOAL_DEVICE double end_weight(const SampleTask& task, const SampleRow& row, float top) {
  double sum = 0.0;
  for (int i = 0; i < task.end_token_count; ++i) sum += weight_of(row.logits[task.end_tokens[i]], top, row.k);
  return sum;
}

/// Replaces entries by the sums up to and including each; by the first warp, each thread a run of neighbours.
template <class Block, class T>
SHOAL_DEVICE void accumulate(Block& block, T* values, int count) {
  if (block.thread() >= warp_size) return;
  const int run = (count + warp_size - 1) / warp_size;
  const int begin = smaller(block.thread() * run, count), end = smaller(begin + run, count);
  T sum = 0;
  for (int i = begin; i < end; ++i) sum += values[i];
  T before = sum;  // becomes the sum of all runs up to this one
  for (int distance = 1; distance < warp_size; distance *= 2) {
    const T other = block.shuffle_up(before, distance);
    if (block.thread() >= distance) before += other;
  }
  before -= sum;
  T running = 0;
  for (int i = begin; i < end; ++i) {
    running += values[i];
    values[i] = before + running;
  }
}

SHOAL_DEVICE std::uint32_t key_of(float weight) { return std::bit_cast<std::uint32_t>(weight); }
/// Of the smallest weight that is not below @p weight, which is positive.
SHOAL_DEVICE std::uint32_t least_key(double weight) {
  const auto rounded = static_cast<float>(weight);
  return key_of(rounded) + (static_cast<double>(rounded) < weight ? 1U : 0U);
}
SHOAL_DEVICE unsigned long long mass_of(float weight) {
  return static_cast<unsigned long long>(static_cast<double>(weight) * 1099511627776.0 + 0.5);
}

/// Counts candidates by the 4 bits of their keys at @p shift, and sums their mass: those whose higher bits are the
/// prefix's. Every thread has bins of its own, which are then summed.
template <class Block>
SHOAL_DEVICE void fill_bins(Block& block, const SampleTask& task, const SampleRow& row, const SampleScratch& s,
                            float top, float end, std::uint32_t prefix, int shift) {
  const int threads = block.threads(), lane = block.thread() % warp_size;
  for (int bin = 0; bin < bins; ++bin) {
    s.mass_of_threads[bin * threads + block.thread()] = 0;
    s.counts_of_threads[bin * threads + block.thread()] = 0;
  }
  const auto add = [&](float weight) {
    const std::uint32_t key = key_of(weight);
    const bool fits = shift + bin_bits == 32 || key >> (shift + bin_bits) == prefix >> (shift + bin_bits);
    if (!(weight > 0.0F) || !fits) return;
    const int at = static_cast<int>(key >> shift & (bins - 1U)) * threads + block.thread();
    s.mass_of_threads[at] += mass_of(weight);
    ++s.counts_of_threads[at];
  };
  for (int token = block.thread(); token < task.vocabulary; token += threads)
    if (is_in(row.allowed, token)) add(weight_of(row.logits[token], top, row.k));
  if (block.thread() == 0) add(end);
  block.sync();
  for (int bin = block.thread() / warp_size; bin < bins; bin += threads / warp_size) {
    unsigned long long mass = 0;
    std::uint32_t count = 0;
    for (int i = lane; i < threads; i += warp_size) {
      mass += s.mass_of_threads[bin * threads + i];
      count += s.counts_of_threads[bin * threads + i];
    }
    mass = sum_over_warp(block, mass);
    count = sum_over_warp(block, count);
    if (lane == 0) s.mass[bin] = mass, s.counts[bin] = count;
  }
  block.sync();
}

/// Finds where the most probable outcomes have reached @p count, or @p mass in units of 2^-40, whichever is asked for
/// (the other 0), by passes over 4 bits each of their weights' bits. Integers only: the order does not matter.
template <class Block>
SHOAL_DEVICE void select(Block& block, const SampleTask& task, const SampleRow& row, const SampleScratch& s, float top,
                         float end, std::uint32_t count, unsigned long long mass) {
  std::uint32_t prefix = 0;
  for (int shift = 32 - bin_bits; shift >= 0; shift -= bin_bits) {
    fill_bins(block, task, row, s, top, end, prefix, shift);
    if (block.thread() == 0) {
      int bin = bins - 1;
      for (; bin > 0; --bin) {
        if (count > 0 ? s.counts[bin] >= count : s.mass[bin] >= mass) break;
        if (count > 0)
          count -= s.counts[bin];
        else
          mass -= s.mass[bin];
      }
      const std::uint32_t key = prefix | static_cast<std::uint32_t>(bin) << shift;
      std::uint32_t ties = count;
      if (count == 0) {
        const unsigned long long each = s.counts[bin] > 0 ? s.mass[bin] / s.counts[bin] : 0;
        ties = each > 0 ? static_cast<std::uint32_t>((mass + each - 1) / each) : s.counts[bin];
      }
      *s.threshold = {key, ties};
      s.doubles[7] = static_cast<double>(count);
      s.mass[0] = mass;
    }
    block.sync();
    prefix = s.threshold->key;
    count = static_cast<std::uint32_t>(s.doubles[7]);
    mass = s.mass[0];
    block.sync();
  }
}

/// Weights of a chunk's tokens after truncation, in the order of their ids: calls visit(j, weight).
template <class Block, class Visit>
SHOAL_DEVICE void visit_kept(Block& block, const SampleTask& task, const SampleRow& row, int chunk, float top,
                             Threshold threshold, std::uint32_t ties_before, const Visit& visit) {
  const std::uint32_t lower_lanes = (1U << (block.thread() % warp_size)) - 1U;
  for (int j = 0; j < chunk_tokens / warp_size; ++j) {
    const int token = token_of(block, chunk, j);
    float weight = 0.0F;
    if (token < task.vocabulary && is_in(row.allowed, token)) weight = weight_of(row.logits[token], top, row.k);
    const std::uint32_t tied = block.ballot(weight > 0.0F && key_of(weight) == threshold.key);
    const std::uint32_t rank = ties_before + static_cast<std::uint32_t>(std::popcount(tied & lower_lanes));
    const bool is_tied = (tied >> (block.thread() % warp_size) & 1U) != 0;
    visit(j, key_of(weight) > threshold.key || (is_tied && rank < threshold.ties) ? weight : 0.0F);
    ties_before += static_cast<std::uint32_t>(std::popcount(tied));
  }
}

/// Sums of the kept weights by chunk, and the ties before each.
template <class Block>
SHOAL_DEVICE void sum_kept(Block& block, const SampleTask& task, const SampleRow& row, const SampleScratch& s,
                           float top) {
  const int chunks = sample_chunks(task.vocabulary), warps = block.threads() / warp_size;
  const Threshold threshold = *s.threshold;
  for (int c = block.thread() / warp_size; c < chunks; c += warps) {
    std::uint32_t ties = 0;
    for (int j = 0; j < chunk_tokens / warp_size; ++j) {
      const int token = token_of(block, c, j);
      const bool ok = token < task.vocabulary && is_in(row.allowed, token);
      const float weight = ok ? weight_of(row.logits[token], top, row.k) : 0.0F;
      ties += static_cast<std::uint32_t>(std::popcount(block.ballot(weight > 0.0F && key_of(weight) == threshold.key)));
    }
    if (block.thread() % warp_size == 0) s.ties[c] = ties;
  }
  block.sync();
  accumulate(block, s.ties, chunks);
  block.sync();
  for (int c = block.thread() / warp_size; c < chunks; c += warps) {
    double sum = 0.0;
    visit_kept(block, task, row, c, top, threshold, c > 0 ? s.ties[c - 1] : 0, [&](int, float w) { sum += w; });
    sum = sum_over_warp(block, sum);
    if (block.thread() % warp_size == 0) s.prefix[c] = sum;
  }
  block.sync();
  accumulate(block, s.prefix, chunks);
  block.sync();
}

/// The outcome at @p target of the cumulative weights; by one warp, on all its threads.
template <class Block>
SHOAL_DEVICE int draw(Block& block, const SampleTask& task, const SampleRow& row, const SampleScratch& s, float top,
                      double target, bool end_has_weight) {
  const int chunks = sample_chunks(task.vocabulary), lane = block.thread() % warp_size;
  int low = 0, high = chunks;  // the first chunk whose prefix is above the target
  while (low < high) {
    const int middle = (low + high) / 2;
    if (target < s.prefix[middle])
      high = middle;
    else
      low = middle + 1;
  }
  if (low == chunks) {
    if (end_has_weight) return task.vocabulary;
    low = chunks - 1;  // rounding has led past the last token
    while (low > 0 && s.prefix[low] == s.prefix[low - 1]) --low;
  }
  const double rest = low > 0 ? target - s.prefix[low - 1] : target;
  int found = -1, last = -1;
  double running = 0.0;
  visit_kept(block, task, row, low, top, *s.threshold, low > 0 ? s.ties[low - 1] : 0, [&](int j, float weight) {
    double sum = weight;
    for (int distance = 1; distance < warp_size; distance *= 2) {
      const double other = block.shuffle_up(sum, distance);
      if (lane >= distance) sum += other;
    }
    const std::uint32_t positive = block.ballot(weight > 0.0F);
    const std::uint32_t passed = block.ballot(weight > 0.0F && rest < running + sum);
    if (found < 0 && passed != 0) found = low * chunk_tokens + j * warp_size + std::countr_zero(passed);
    if (positive != 0) last = low * chunk_tokens + j * warp_size + 31 - std::countl_zero(positive);
    running += block.shuffle(sum, warp_size - 1);
  });
  return found >= 0 ? found : last;
}

/// Fills the scratch with tops and sums of every chunk, untruncated.
template <class Block>
SHOAL_DEVICE void sum_chunks(Block& block, const SampleTask& task, const SampleRow& row, const SampleScratch& s) {
  const int chunks = sample_chunks(task.vocabulary), words = chunk_tokens / 32;
  for (int c = block.thread() / warp_size; c < chunks; c += block.threads() / warp_size) {
    float top = 0.0F, allowed_top = 0.0F;
    const double sum = sum_chunk(block, task, row, task.real, c, &top);
    const int word = c * words + block.thread() % warp_size % words;
    const bool differs = word < (task.vocabulary + 31) / 32 && task.real[word] != row.allowed[word];
    double allowed_sum = sum;
    allowed_top = top;
    if (block.ballot(differs) != 0) allowed_sum = sum_chunk(block, task, row, row.allowed, c, &allowed_top);
    if (block.thread() % warp_size != 0) continue;
    s.real_tops[c] = top, s.real_sums[c] = sum;
    s.allowed_tops[c] = allowed_top, s.prefix[c] = allowed_sum;
  }
  block.sync();
}

template <class Block>
SHOAL_DEVICE float largest_of(Block& block, const float* values, int count, float* scratch) {
  float best = minus_infinity();
  for (int i = block.thread(); i < count; i += block.threads()) best = larger(values[i], best);
  return over_block(block, best, scratch, [](float a, float b) { return larger(a, b); });
}

/// Brings chunk sums, each relative to its own top, to one top, and accumulates them.
template <class Block>
SHOAL_DEVICE void accumulate_chunks(Block& block, double* sums, const float* tops, int chunks, float top, float k) {
  for (int c = block.thread(); c < chunks; c += block.threads())
    if (tops[c] > minus_infinity()) sums[c] *= exp2(static_cast<double>((tops[c] - top)) * k);
  block.sync();
  accumulate(block, sums, chunks);
  block.sync();
}

template <class Block>
SHOAL_DEVICE void truncate(Block& block, const SampleTask& task, const SampleRow& row, const SampleScratch& s,
                           float top, double end) {
  const auto chunks = sample_chunks(task.vocabulary);
  const auto end_float = static_cast<float>(end);
  if (block.thread() == 0) *s.threshold = {};
  block.sync();
  if (task.top_k > 0) {
    select(block, task, row, s, top, end_float, static_cast<std::uint32_t>(task.top_k), 0);
    sum_kept(block, task, row, s, top);
  }
  if (task.top_p < 1.0) {
    const Threshold first = *s.threshold;
    const bool end_kept = end > 0.0 && (task.top_k == 0 || key_of(end_float) > first.key ||
                                        (key_of(end_float) == first.key && s.ties[chunks - 1] < first.ties));
    const double kept = s.prefix[chunks - 1] + (end_kept ? end : 0.0);
    select(block, task, row, s, top, end_float, 0,
           static_cast<unsigned long long>(task.top_p * kept * 1099511627776.0) + 1);
    if (block.thread() == 0 && task.top_k > 0) {
      if (s.threshold->key < first.key)
        *s.threshold = first;
      else if (s.threshold->key == first.key && first.ties < s.threshold->ties)
        s.threshold->ties = first.ties;
    }
    block.sync();
    sum_kept(block, task, row, s, top);
  }
  if (task.min_p > 0.0) {
    // The best outcome has weight 1, or it is the end with more.
    const std::uint32_t least = least_key(task.min_p * (end > 1.0 ? end : 1.0));
    if (block.thread() == 0 && s.threshold->key < least) *s.threshold = {least - 1, 0};
    block.sync();
    sum_kept(block, task, row, s, top);
  }
}

/// One block of sampling_threads threads per row.
template <class Block>
SHOAL_DEVICE void sample(Block& block, const SampleTask& task) {
  const std::int64_t r = block.index();
  const SampleRow row{task.logits + r * task.vocabulary, task.allowed[r], task.end_allowed[r] != 0,
                      task.inverse_temperature * log2_e};
  const SampleScratch s = lay_out(block, task);
  const int chunks = sample_chunks(task.vocabulary);
  sum_chunks(block, task, row, s);

  const float end_best = end_top(task, row);
  const float real_top = larger(end_best, largest_of(block, s.real_tops, chunks, s.floats));
  const float best = largest_of(block, s.allowed_tops, chunks, s.floats);
  const float top = row.end_allowed ? larger(end_best, best) : best;
  accumulate_chunks(block, s.real_sums, s.real_tops, chunks, real_top, row.k);
  accumulate_chunks(block, s.prefix, s.allowed_tops, chunks, top, row.k);
  const double total = s.real_sums[chunks - 1] + end_weight(task, row, real_top);
  double end = row.end_allowed ? end_weight(task, row, top) : 0.0;

  const bool truncated = truncates(task);
  if (!truncated && block.thread() == 0) *s.threshold = {};
  block.sync();
  if (!truncated)
    for (int c = block.thread(); c < chunks; c += block.threads()) s.ties[c] = 0;
  if (truncated && top > minus_infinity()) {
    truncate(block, task, row, s, top, end);
    const std::uint32_t key = key_of(static_cast<float>(end));
    const Threshold t = *s.threshold;
    if (key < t.key || (key == t.key && s.ties[chunks - 1] >= t.ties)) end = 0.0;
  }
  block.sync();

  const double kept = top > minus_infinity() ? s.prefix[chunks - 1] + end : 0.0 * total;
  if (block.thread() == 0) {
    const double ln2_k = static_cast<double>(task.inverse_temperature);
    const double shift = top > minus_infinity() ? (static_cast<double>(top) - real_top) * ln2_k : 0.0;
    task.log_mass[r] = shift + log(kept) - (total == 0.0 ? 0.0 : log(total));
    task.log_end[r] = end_best > minus_infinity() ? (static_cast<double>(end_best) - real_top) * ln2_k +
                                                        log(end_weight(task, row, end_best)) - log(total)
                                                  : log(0.0 * total);
  }
  const int warps = block.threads() / warp_size;
  for (int d = task.draws_begin[r] + block.thread() / warp_size; d < task.draws_begin[r + 1]; d += warps) {
    const int token = kept > 0.0 ? draw(block, task, row, s, top, task.uniforms[d] * kept, end > 0.0) : -1;
    if (block.thread() % warp_size == 0) task.tokens[d] = token;
  }
}

}  // namespace shoal::lm::cuda
