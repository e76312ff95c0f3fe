// 16-bit floating-point formats of checkpoints and of the bf16 engine.
#pragma once

#include <bit>
#include <cstdint>

namespace shoal::lm {

/// The upper half of an IEEE single.
struct Bf16 {
  std::uint16_t bits;  ///< as unset as any number: kernels have arrays that they fill later

  [[nodiscard]] float to_float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U); }
  /// Rounds to nearest, ties to even; NaN stays NaN.
  static Bf16 from_float(float x) {
    const auto wide = std::bit_cast<std::uint32_t>(x);
    if ((wide & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<std::uint16_t>(wide >> 16U | 0x40U)};
    return {static_cast<std::uint16_t>((wide + 0x7FFFU + (wide >> 16U & 1U)) >> 16U)};
  }
};

/// IEEE half precision.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16U;
  const std::uint32_t exponent = half >> 10U & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide_exponent << 23U | mantissa << 13U);
}

}  // namespace shoal::lm
