#include "smc/row_kernels.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

namespace shoal::smc {
namespace {

constexpr std::size_t lanes = 8;
static_assert(chunk_tokens % lanes == 0);

using Floats = float __attribute__((vector_size(4 * lanes)));
using Bits = std::uint32_t __attribute__((vector_size(4 * lanes)));

#define SHOAL_INLINE inline __attribute__((always_inline))

/// lane_masks[byte][i]: all ones if bit i of the byte is set, else zero.
using LaneMasks = std::array<std::array<std::uint32_t, lanes>, 256>;

constexpr LaneMasks make_lane_masks() {
  LaneMasks masks{};
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (std::uint32_t i = 0; i < lanes; ++i) masks[byte][i] = (byte >> i & 1U) != 0 ? ~0U : 0U;
  return masks;
}

alignas(32) constexpr LaneMasks lane_masks = make_lane_masks();

/// All ones in the lanes of block @p block whose token is in the set.
SHOAL_INLINE void select(TokenBits set, std::size_t block, Bits* out) {
  const std::uint64_t byte = set[block / 8] >> (block % 8 * lanes) & 0xFFU;
  std::memcpy(out, lane_masks[byte].data(), sizeof *out);
}

/// @p x in the lanes of @p mask, @p other elsewhere.
SHOAL_INLINE void blend(const Bits& mask, const Floats& other, Floats* x) {
  *x = reinterpret_cast<Floats>((reinterpret_cast<Bits>(*x) & mask) | (reinterpret_cast<Bits>(other) & ~mask));
}

/// exp(x) for x <= 0: reduction to |r| <= ln2/2, polynomial of degree 7, scaling by 2^k.
SHOAL_INLINE void exp_nonpositive(Floats* x) {
  constexpr float shift = 0x1.8p23F;  // adding it rounds to an integer in the lowest bits
  const Floats y = *x < -87.0F ? Floats{} - 87.0F : *x;
  const Floats shifted = y * 0x1.715476p0F + shift;
  const Floats k = shifted - shift;
  const Floats r = (y - k * 0x1.62e4p-1F) - k * 0x1.7f7d1cp-20F;
  Floats p = r * (1.0F / 5040) + 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = 1.0F + (r + r * r * p);
  const Bits scale = (reinterpret_cast<Bits>(shifted) << 23U) + (127U << 23U);
  *x = *x < -87.0F ? Floats{} : p * reinterpret_cast<Floats>(scale);
}

/// Loads block @p block; lanes beyond the row are -inf.
SHOAL_INLINE void load(std::span<const float> row, std::size_t block, Floats* out) {
  const std::size_t begin = block * lanes;
  if (begin + lanes <= row.size()) {
    std::memcpy(out, row.data() + begin, sizeof *out);
    return;
  }
  std::array<float, lanes> padded;
  padded.fill(-std::numeric_limits<float>::infinity());
  std::copy(row.begin() + static_cast<std::ptrdiff_t>(begin), row.end(), padded.begin());
  std::memcpy(out, padded.data(), sizeof *out);
}

SHOAL_INLINE std::size_t blocks(std::span<const float> row) { return (row.size() + lanes - 1) / lanes; }

SHOAL_INLINE RowMaxima maxima(std::span<const float> logits, TokenBits real, TokenBits allowed) {
  const Floats lowest = Floats{} - std::numeric_limits<float>::infinity();
  Floats max_real = lowest;
  Floats max_allowed = lowest;
  for (std::size_t b = 0; b < blocks(logits); ++b) {
    Floats x;
    Bits mask;
    load(logits, b, &x);
    select(real, b, &mask);
    blend(mask, lowest, &x);
    max_real = x > max_real ? x : max_real;
    select(allowed, b, &mask);
    blend(mask, lowest, &x);
    max_allowed = x > max_allowed ? x : max_allowed;
  }
  RowMaxima m{max_real[0], max_allowed[0]};
  for (std::size_t i = 1; i < lanes; ++i) m = {std::max(m.real, max_real[i]), std::max(m.allowed, max_allowed[i])};
  return m;
}

/// Block @p b of exp((logit - reference) / T), 0 outside the real tokens.
SHOAL_INLINE void exp_block(std::span<const float> logits, TokenBits real, std::size_t b, float reference,
                            float inverse_temperature, Floats* out) {
  Bits mask;
  load(logits, b, out);
  select(real, b, &mask);
  *out = (*out - reference) * inverse_temperature;
  exp_nonpositive(out);
  blend(mask, Floats{}, out);
}

/// Blocks are added as floats within a group of this many, then as doubles: relative error below 5e-7.
constexpr std::size_t group_blocks = 8;

SHOAL_INLINE double sum(const Floats& values) {
  double total = 0.0;
  for (std::size_t i = 0; i < lanes; ++i) total += static_cast<double>(values[i]);
  return total;
}

SHOAL_INLINE double exp_sum(std::span<const float> logits, TokenBits real, float reference, float inverse_temperature) {
  double total = 0.0;
  for (std::size_t begin = 0; begin < blocks(logits); begin += group_blocks) {
    Floats group{};
    for (std::size_t b = begin; b < std::min(begin + group_blocks, blocks(logits)); ++b) {
      Floats w;
      exp_block(logits, real, b, reference, inverse_temperature, &w);
      group += w;
    }
    total += sum(group);
  }
  return total;
}

struct GroupSums {
  double real = 0.0;
  double allowed = 0.0;
};

SHOAL_INLINE void store(const Floats& values, std::size_t block, std::span<float> row) {
  const std::size_t begin = block * lanes;
  if (begin + lanes <= row.size())
    std::memcpy(row.data() + begin, &values, sizeof values);
  else
    std::memcpy(row.data() + begin, &values, (row.size() - begin) * sizeof(float));
}

SHOAL_INLINE GroupSums exp_store_group(std::span<float> logits, TokenBits real, TokenBits allowed, std::size_t begin,
                                       float reference, float inverse_temperature) {
  Floats sum_real{};
  Floats sum_allowed{};
  for (std::size_t b = begin; b < std::min(begin + group_blocks, blocks(logits)); ++b) {
    Floats w;
    Bits mask;
    exp_block(logits, real, b, reference, inverse_temperature, &w);
    sum_real += w;
    select(allowed, b, &mask);
    blend(mask, Floats{}, &w);
    sum_allowed += w;
    store(w, b, logits);
  }
  return {sum(sum_real), sum(sum_allowed)};
}

SHOAL_INLINE double exp_store(std::span<float> logits, TokenBits real, TokenBits allowed, float reference,
                              float inverse_temperature, std::span<double> chunk_sums) {
  constexpr std::size_t chunk_blocks = chunk_tokens / lanes;
  static_assert(chunk_blocks % group_blocks == 0);
  double total = 0.0;
  for (std::size_t c = 0; c < chunk_sums.size(); ++c) {
    GroupSums chunk;
    for (std::size_t b = c * chunk_blocks; b < std::min((c + 1) * chunk_blocks, blocks(logits)); b += group_blocks) {
      const GroupSums group = exp_store_group(logits, real, allowed, b, reference, inverse_temperature);
      chunk.real += group.real;
      chunk.allowed += group.allowed;
    }
    chunk_sums[c] = chunk.allowed;
    total += chunk.real;
  }
  return total;
}

struct Kernels {
  RowMaxima (*maxima)(std::span<const float>, TokenBits, TokenBits);
  double (*exp_sum)(std::span<const float>, TokenBits, float, float);
  double (*exp_store)(std::span<float>, TokenBits, TokenBits, float, float, std::span<double>);
};

// The same source compiled for several instruction sets.
#define SHOAL_KERNELS(NAME, TARGET)                                                                        \
  struct NAME {                                                                                            \
    TARGET static RowMaxima maximum(std::span<const float> x, TokenBits real, TokenBits allowed) {         \
      return maxima(x, real, allowed);                                                                     \
    }                                                                                                      \
    TARGET static double add(std::span<const float> x, TokenBits real, float reference, float inverse_t) { \
      return exp_sum(x, real, reference, inverse_t);                                                       \
    }                                                                                                      \
    TARGET static double store(std::span<float> x, TokenBits real, TokenBits allowed, float reference,     \
                               float inverse_t, std::span<double> sums) {                                  \
      return exp_store(x, real, allowed, reference, inverse_t, sums);                                      \
    }                                                                                                      \
    static Kernels table() { return {&maximum, &add, &store}; }                                            \
  }

SHOAL_KERNELS(Baseline, );
#ifdef __x86_64__
SHOAL_KERNELS(Avx2, __attribute__((target("avx2"))));
#endif

Kernels best_kernels() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) return Avx2::table();
#endif
  return Baseline::table();
}

const Kernels& kernels() {
  static const Kernels chosen = best_kernels();
  return chosen;
}

}  // namespace

RowMaxima row_maxima(std::span<const float> logits, TokenBits real, TokenBits allowed) {
  return kernels().maxima(logits, real, allowed);
}

double sum_of_exp(std::span<const float> logits, TokenBits real, float reference, float inverse_temperature) {
  return kernels().exp_sum(logits, real, reference, inverse_temperature);
}

double exp_in_place(std::span<float> logits, TokenBits real, TokenBits allowed, float reference,
                    float inverse_temperature, std::span<double> chunk_sums) {
  return kernels().exp_store(logits, real, allowed, reference, inverse_temperature, chunk_sums);
}

}  // namespace shoal::smc
