// Compiled for AVX-512 VNNI.
#include "lm/cpu/panel_product_body.hpp"

namespace shoal::lm::cpu {
namespace {

struct Int8Sums {
  const Int8Scales& scales;

  static __m512i add(__m512i sum, __m512i inputs, __m512i weights) { return _mm512_dpbusd_epi32(sum, inputs, weights); }
  [[nodiscard]] __m512i result(__m512i sum, __mmask16 wanted, int row, int output) const {
    const __m512i offset = _mm512_maskz_loadu_epi32(wanted, scales.offsets + output);
    const __m512 scale = _mm512_maskz_loadu_ps(wanted, scales.of_outputs + output);
    const __m512 whole = _mm512_maskz_cvtepi32_ps(wanted, _mm512_sub_epi32(sum, offset));
    return _mm512_castps_si512(_mm512_mul_ps(whole, _mm512_mul_ps(scale, _mm512_set1_ps(scales.of_rows[row]))));
  }
};

}  // namespace

void multiply_int8(const PanelProduct& task, const Int8Scales& scales) { multiply(task, Int8Sums{scales}); }

}  // namespace shoal::lm::cpu
