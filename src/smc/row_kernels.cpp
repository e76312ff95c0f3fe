#include "smc/row_kernels.hpp"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/isa.hpp"

namespace shoal::smc {
namespace {

constexpr std::size_t lanes = 8;
/// Tokens are taken in groups of one word of their sets, so that groups with all of their tokens need no masks.
constexpr std::size_t group_tokens = 64;
constexpr std::uint64_t whole_group = ~std::uint64_t{0};
static_assert(chunk_tokens % group_tokens == 0);

using Floats = float __attribute__((vector_size(4 * lanes)));
using HalfDoubles = double __attribute__((vector_size(4 * lanes)));
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

/// @p x where the token at @p begin + lane is in @p word, @p other elsewhere.
SHOAL_INLINE void select(std::uint64_t word, std::size_t begin, const Floats& other, Floats* x) {
  Bits mask;
  std::memcpy(&mask, lane_masks[word >> begin & 0xFFU].data(), sizeof mask);
  *x = reinterpret_cast<Floats>((reinterpret_cast<Bits>(*x) & mask) | (reinterpret_cast<Bits>(other) & ~mask));
}

/// One sum per lane. Two halves, because GCC 12 keeps a vector wider than a register in memory.
struct Sums {
  HalfDoubles low{};
  HalfDoubles high{};

  SHOAL_INLINE void add(const Floats& x) {
    low += __builtin_convertvector(__builtin_shufflevector(x, x, 0, 1, 2, 3), HalfDoubles);
    high += __builtin_convertvector(__builtin_shufflevector(x, x, 4, 5, 6, 7), HalfDoubles);
  }
  SHOAL_INLINE void add(const Sums& other) {
    low += other.low;
    high += other.high;
  }
  [[nodiscard]] SHOAL_INLINE double total() const {
    double sum = 0.0;
    for (const HalfDoubles& half : {low, high})
      for (std::size_t i = 0; i < lanes / 2; ++i) sum += half[i];
    return sum;
  }
};

SHOAL_INLINE void load(const float* from, Floats* x) { std::memcpy(x, from, sizeof *x); }
SHOAL_INLINE void store(const Floats& x, float* to) { std::memcpy(to, &x, sizeof x); }

/// A row in groups; the last one is padded with -inf in a place of its own.
class Groups {
 public:
  explicit Groups(std::span<const float> row) : row_(row) {
    tail_.fill(-std::numeric_limits<float>::infinity());
    std::copy(row.end() - static_cast<std::ptrdiff_t>(row.size() % group_tokens), row.end(), tail_.begin());
  }
  [[nodiscard]] std::size_t size() const { return (row_.size() + group_tokens - 1) / group_tokens; }
  [[nodiscard]] SHOAL_INLINE bool is_whole(std::size_t g) const { return (g + 1) * group_tokens <= row_.size(); }
  SHOAL_INLINE const float* operator[](std::size_t g) const {
    return is_whole(g) ? row_.data() + g * group_tokens : tail_.data();
  }

 private:
  std::span<const float> row_;
  std::array<float, group_tokens> tail_;
};

/// exp((logit - reference) / T).
struct Scaling {
  float reference;
  float inverse_temperature;
};

struct Kernels {
  RowMaxima (*maxima)(std::span<const float>, TokenBits, TokenBits);
  double (*exp_sum)(std::span<const float>, TokenBits, Scaling);
  /// @param weights a row, or nothing
  double (*exp_sums)(std::span<const float>, TokenBits, TokenBits, Scaling, std::span<double>,
                     std::span<float> weights);
};

namespace portable {
#include "smc/row_kernels_body.hpp"
}  // namespace portable

#ifdef __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#include "smc/row_kernels_body.hpp"
}  // namespace avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
namespace avx512 {
#include "smc/row_kernels_body.hpp"
}  // namespace avx512
#pragma GCC pop_options
#endif

const Kernels& kernels() {
#ifdef __x86_64__
  if (used_isa() >= Isa::avx512) return avx512::kernels;
  if (used_isa() >= Isa::avx2) return avx2::kernels;
#endif
  return portable::kernels;
}

}  // namespace

RowMaxima row_maxima(std::span<const float> logits, TokenBits real, TokenBits allowed) {
  return kernels().maxima(logits, real, allowed);
}

double sum_of_exp(std::span<const float> logits, TokenBits real, float reference, float inverse_temperature) {
  return kernels().exp_sum(logits, real, {reference, inverse_temperature});
}

double exp_sums(std::span<const float> logits, TokenBits real, TokenBits allowed, float reference,
                float inverse_temperature, std::span<double> chunk_sums) {
  return kernels().exp_sums(logits, real, allowed, {reference, inverse_temperature}, chunk_sums, {});
}

double exp_in_place(std::span<float> logits, TokenBits real, TokenBits allowed, float reference,
                    float inverse_temperature, std::span<double> chunk_sums) {
  return kernels().exp_sums(logits, real, allowed, {reference, inverse_temperature}, chunk_sums, logits);
}

}  // namespace shoal::smc
