// Compiled for AVX2 and AVX-VNNI.
#include "lm/cpu/int8_avx2_body.hpp"

namespace shoal::lm::cpu {
namespace {

struct QuadSums {
  static constexpr int most_rows = 6;
  using Word = __m256i;
  static Word weights(__m256i word) { return word; }
  static Word inputs(__m256i word) { return word; }
  static __m256i add(__m256i sum, Word inputs, Word weights) { return _mm256_dpbusd_avx_epi32(sum, inputs, weights); }
};

}  // namespace

void multiply_int8_avx2_vnni(const PanelProduct& task, const Int8Scales& scales) { multiply<QuadSums>(task, scales); }

}  // namespace shoal::lm::cpu
