// Compiled for AVX2.
#include "lm/cpu/int8_avx2_body.hpp"

namespace shoal::lm::cpu {
namespace {

/// Products of 16 bits, which do not saturate: of the even ones of four numbers, and of the odd ones.
struct PairSums {
  static constexpr int most_rows = 4;
  struct Word {
    __m256i even;
    __m256i odd;
  };
  static Word weights(__m256i word) {
    return {_mm256_srai_epi16(_mm256_slli_epi16(word, 8), 8), _mm256_srai_epi16(word, 8)};
  }
  static Word inputs(__m256i word) {
    return {_mm256_and_si256(word, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16(word, 8)};
  }
  static __m256i add(__m256i sum, Word inputs, Word weights) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(inputs.even, weights.even));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(inputs.odd, weights.odd));
  }
};

}  // namespace

void multiply_int8_avx2(const PanelProduct& task, const Int8Scales& scales) { multiply<PairSums>(task, scales); }

}  // namespace shoal::lm::cpu
