// Compiled for AVX-512 BF16.
#include "lm/cpu/panel_product_body.hpp"

namespace shoal::lm::cpu {
namespace {

struct Bf16Sums {
  static __m512i add(__m512i sum, __m512i inputs, __m512i weights) {
    return _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sum), (__m512bh)inputs, (__m512bh)weights));
  }
  static __m512i result(__m512i sum, __mmask16 /*wanted*/, int /*row*/, int /*output*/) { return sum; }
};

}  // namespace

void multiply_bf16(const PanelProduct& task) { multiply(task, Bf16Sums{}); }

}  // namespace shoal::lm::cpu
