// The passes over a row: one source, compiled once per instruction set. Included only by row_kernels_*.cpp, each with a
// namespace of its own; calls nothing that another translation unit could share.
#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <cstdint>
#include <limits>

#include "smc/row_kernels_by_isa.hpp"

namespace shoal::smc {
namespace {

#define SHOAL_INLINE inline __attribute__((always_inline))

/// As many as a register holds, or two of the baseline's.
#ifdef __AVX512F__
constexpr std::size_t width = 16;
#else
constexpr std::size_t width = 8;
#endif
using Floats = float __attribute__((vector_size(4 * width)));
using Doubles = double __attribute__((vector_size(4 * width)));
using Bits = std::uint32_t __attribute__((vector_size(4 * width)));

constexpr float infinity = std::numeric_limits<float>::infinity();
/// Tokens are taken in groups of one word of their sets, so that groups with all of their tokens need no masks.
constexpr std::size_t group_tokens = 64;
constexpr std::uint64_t whole_group = ~std::uint64_t{0};
constexpr std::size_t chunk_groups = chunk_tokens / group_tokens;
static_assert(chunk_tokens % group_tokens == 0);

SHOAL_INLINE Floats all(float value) { return Floats{} + value; }

SHOAL_INLINE Floats load(const float* from) {
  Floats x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

SHOAL_INLINE void store(Floats x, float* to) { __builtin_memcpy(to, &x, sizeof x); }

/// @p than if @p x is NaN
SHOAL_INLINE Floats larger(Floats x, Floats than) {
#ifdef __AVX512F__
  return _mm512_max_ps(x, than);
#else
  return x > than ? x : than;
#endif
}

#ifndef __AVX512F__
/// of[byte][i]: all ones if bit i of the byte is set, else zero.
struct LaneMasks {
  std::uint32_t of[256][width];
};

constexpr LaneMasks make_lane_masks() {
  LaneMasks masks{};
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (std::uint32_t i = 0; i < width; ++i) masks.of[byte][i] = (byte >> i & 1U) != 0 ? ~0U : 0U;
  return masks;
}

alignas(32) constexpr LaneMasks lane_masks = make_lane_masks();
#endif

/// @p x where the token at @p begin + lane is in @p tokens, @p other elsewhere.
SHOAL_INLINE Floats select(std::uint64_t tokens, std::size_t begin, Floats x, Floats other) {
#ifdef __AVX512F__
  return _mm512_mask_mov_ps(other, static_cast<__mmask16>(tokens >> begin), x);
#else
  Bits mask;
  __builtin_memcpy(&mask, lane_masks.of[tokens >> begin & 0xFFU], sizeof mask);
  return reinterpret_cast<Floats>((reinterpret_cast<Bits>(x) & mask) | (reinterpret_cast<Bits>(other) & ~mask));
#endif
}

/// a * b + c, rounded once.
SHOAL_INLINE Floats fused(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  for (std::size_t i = 0; i < width; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#endif
}

/// Sixteen lanes in double precision.
class Sums {
 public:
  /// @param begin of the token in the first lane of @p x
  SHOAL_INLINE void add(Floats x, std::size_t begin) {
    Doubles* const sums = sums_ + begin / width * 2 % count;
#ifdef __AVX512F__
    sums[0] += _mm512_cvtps_pd(_mm512_castps512_ps256(x));
    sums[1] += _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
#else
    sums[0] += __builtin_convertvector(__builtin_shufflevector(x, x, 0, 1, 2, 3), Doubles);
    sums[1] += __builtin_convertvector(__builtin_shufflevector(x, x, 4, 5, 6, 7), Doubles);
#endif
  }
  [[nodiscard]] SHOAL_INLINE double total() const {
#ifdef __AVX512F__
    return _mm512_reduce_add_pd(sums_[0] + sums_[1]);
#else
    const Doubles sum = (sums_[0] + sums_[2]) + (sums_[1] + sums_[3]);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
#endif
  }

 private:
  static constexpr std::size_t count = 16 / (width / 2);
  Doubles sums_[count]{};
};

/// The largest logit at each place of a group.
class Maxima {
 public:
  SHOAL_INLINE Maxima() {
    for (Floats& max : max_) max = all(-infinity);
  }
  SHOAL_INLINE void add(const float* group, std::uint64_t tokens) {
    for (std::size_t i = 0; i < group_tokens; i += width) {
      const Floats x = load(group + i);
      max_[i / width] = larger(tokens == whole_group ? x : select(tokens, i, x, all(-infinity)), max_[i / width]);
    }
  }
  [[nodiscard]] SHOAL_INLINE float largest() const {
    Floats max = max_[0];
    for (std::size_t i = 1; i < count; ++i) max = larger(max_[i], max);
#ifdef __AVX512F__
    return _mm512_reduce_max_ps(max);
#else
    float found = max[0];
    for (std::size_t i = 1; i < width; ++i) found = max[i] > found ? max[i] : found;
    return found;
#endif
  }

 private:
  static constexpr std::size_t count = group_tokens / width;
  Floats max_[count];
};

/// A row in groups; the last one is padded with -inf in a place of its own.
class Groups {
 public:
  SHOAL_INLINE Groups(const float* row, std::size_t tokens) : row_(row), whole_(tokens / group_tokens) {
    for (std::size_t i = 0; i < group_tokens; ++i)
      tail_[i] = whole_ * group_tokens + i < tokens ? row[whole_ * group_tokens + i] : -infinity;
  }
  SHOAL_INLINE const float* operator[](std::size_t g) const { return g < whole_ ? row_ + g * group_tokens : tail_; }
  SHOAL_INLINE void prefetch(std::size_t g) const {
    for (std::size_t v = 0; v < group_tokens && g < whole_; v += 16) __builtin_prefetch(row_ + g * group_tokens + v);
  }

 private:
  const float* row_;
  std::size_t whole_;
  float tail_[group_tokens];
};

/// Registers whose weights are computed side by side: each alone would wait for its last operation at every step.
constexpr std::size_t abreast = 4;

/// exp((logit - reference) / T) = 2^(k + f), k whole and |f| <= 1/2: a polynomial of degree 6 for 2^f (minimax,
/// relative error 3e-9 before rounding), scaled by 2^k; 0 where k < -125.
class Weighing {
 public:
  SHOAL_INLINE Weighing(float reference, double inverse_temperature)
      : reference_(reference == -infinity ? 0.0F : reference),
        high_(static_cast<float>(inverse_temperature * log2_e)),
        low_(static_cast<float>(inverse_temperature * log2_e - high_)) {}

  SHOAL_INLINE void operator()(const float* logits, Floats (&weights)[abreast]) const {
    constexpr float shift = 0x1.8p23F;  // adding it rounds to an integer in the lowest bits
    Floats x[abreast], k[abreast], f[abreast], p[abreast];
    for (std::size_t i = 0; i < abreast; ++i) x[i] = load(logits + i * width) - reference_;
    for (std::size_t i = 0; i < abreast; ++i) k[i] = fused(x[i], all(high_), all(shift));
    for (std::size_t i = 0; i < abreast; ++i) f[i] = fused(x[i], all(high_), shift - k[i]);
    for (std::size_t i = 0; i < abreast; ++i) f[i] = fused(x[i], all(low_), f[i]);
    for (std::size_t i = 0; i < abreast; ++i) p[i] = fused(f[i], all(0x1.4176ap-13F), all(0x1.5f0962p-10F));
    for (const float c : {0x1.3b2dd6p-7F, 0x1.c6af7ap-5F, 0x1.ebfbdcp-3F, 0x1.62e43p-1F, 1.0F})
      for (std::size_t i = 0; i < abreast; ++i) p[i] = fused(p[i], f[i], all(c));
    for (std::size_t i = 0; i < abreast; ++i) {
      const Bits power = (reinterpret_cast<Bits>(k[i]) << 23U) + (127U << 23U);
      weights[i] = k[i] < shift - 125.0F ? Floats{} : p[i] * reinterpret_cast<Floats>(power);
    }
  }

 private:
  static constexpr double log2_e = 0x1.71547652b82fep0;
  float reference_, high_, low_;  ///< high + low: log2(e) / T
};

/// Groups asked for before they are needed: the processor's own prefetching stops at every page.
constexpr std::size_t ahead = 4 * chunk_groups;

/// Some groups of a row, and a set of its tokens.
struct Part {
  const Groups& groups;
  std::size_t begin, end;
  const std::uint64_t* tokens;
};

SHOAL_INLINE float largest(const Part& part) {
  Maxima maxima;
  for (std::size_t g = part.begin; g < part.end; ++g) {
    part.groups.prefetch(g + ahead);
    if (part.tokens[g] != 0) maxima.add(part.groups[g], part.tokens[g]);
  }
  return maxima.largest();
}

SHOAL_INLINE double sum_of_weights(const Part& part, Weighing weigh) {
  Sums sums;
  for (std::size_t g = part.begin; g < part.end; ++g) {
    const std::uint64_t tokens = part.tokens[g];
    if (tokens == 0) continue;
    for (std::size_t i = 0; i < group_tokens; i += abreast * width) {
      Floats weights[abreast];
      weigh(part.groups[g] + i, weights);
      for (std::size_t j = 0; j < abreast; ++j) {
        const std::size_t at = i + j * width;
        sums.add(tokens == whole_group ? weights[j] : select(tokens, at, weights[j], Floats{}), at);
      }
    }
  }
  return sums.total();
}

/// The passes over one chunk, for a row that is read chunk by chunk.
class Chunks {
 public:
  SHOAL_INLINE explicit Chunks(const RowTask& row) : row_(row), groups_(row.logits, row.tokens) {}

  SHOAL_INLINE void find_references(std::size_t c) const {
    row_.of_real[c].reference = largest(part(c, row_.real));
    row_.of_allowed[c].reference = is_all_allowed(c) ? row_.of_real[c].reference : largest(part(c, row_.allowed));
  }
  SHOAL_INLINE void sum(std::size_t c) const {
    const auto sum_over = [&](const std::uint64_t* tokens, float reference) __attribute__((always_inline)) {
      return sum_of_weights(part(c, tokens), Weighing(reference, row_.inverse_temperature));
    };
    row_.of_real[c].sum = sum_over(row_.real, row_.of_real[c].reference);
    row_.of_allowed[c].sum =
        is_all_allowed(c) ? row_.of_real[c].sum : sum_over(row_.allowed, row_.of_allowed[c].reference);
  }

 private:
  [[nodiscard]] SHOAL_INLINE Part part(std::size_t c, const std::uint64_t* tokens) const {
    const std::size_t end = (c + 1) * chunk_groups, last = (row_.tokens + group_tokens - 1) / group_tokens;
    return {groups_, c * chunk_groups, end < last ? end : last, tokens};
  }
  [[nodiscard]] SHOAL_INLINE bool is_all_allowed(std::size_t c) const {
    const Part all = part(c, row_.real);
    for (std::size_t g = all.begin; g < all.end; ++g)
      if (row_.allowed[g] != row_.real[g]) return false;
    return true;
  }

  const RowTask& row_;
  Groups groups_;
};

/// References are found one chunk ahead, so that no sum waits for its own.
void sum_chunks(const RowTask& row) {
  const Chunks chunks(row);
  const std::size_t count = (row.tokens + chunk_tokens - 1) / chunk_tokens;
  if (count > 0) chunks.find_references(0);
  for (std::size_t c = 0; c < count; ++c) {
    if (c + 1 < count) chunks.find_references(c + 1);
    chunks.sum(c);
  }
}

double exp_in_place(float* logits, std::size_t count, const std::uint64_t* tokens, float reference,
                    double inverse_temperature) {
  const Groups groups(logits, count);
  const Weighing weigh(reference, inverse_temperature);
  Sums sums;
  for (std::size_t begin = 0; begin < count; begin += group_tokens) {
    const std::size_t g = begin / group_tokens;
    float kept[group_tokens];
    for (std::size_t i = 0; i < group_tokens; i += abreast * width) {
      Floats weights[abreast];
      weigh(groups[g] + i, weights);
      for (std::size_t j = 0; j < abreast; ++j) {
        const std::size_t at = i + j * width;
        const Floats w = select(tokens[g], at, weights[j], Floats{});
        sums.add(w, at);
        store(w, kept + at);
      }
    }
    const std::size_t left = count - begin;
    __builtin_memcpy(logits + begin, kept, (left < group_tokens ? left : group_tokens) * sizeof(float));
  }
  return sums.total();
}

#undef SHOAL_INLINE

constexpr RowKernels this_table{sum_chunks, exp_in_place};

}  // namespace
}  // namespace shoal::smc
