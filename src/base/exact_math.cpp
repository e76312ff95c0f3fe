#include "base/exact_math.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace shoal {
namespace {

constexpr double ln2_high = 0x1.62e42fefa0000p-1;  // upper bits: k * ln2_high is exact for |k| < 2048
constexpr double ln2_low = 0x1.cf79abc9e3b3ap-40;
constexpr double infinity = std::numeric_limits<double>::infinity();

double power_of_two(int exponent) { return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52U); }

}  // namespace

double exact_exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 709.782712893384) return infinity;
  if (x < -745.2) return 0.0;
  const double k = std::nearbyint(x * 1.4426950408889634);
  const double r = (x - k * ln2_high) - k * ln2_low;
  // Taylor series of exp on |r| <= ln2/2, degree 13: truncation below 2^-58.
  double p = 1.0 / 6227020800.0;
  constexpr double inverse_factorials[] = {1.0 / 479001600.0,
                                           1.0 / 39916800.0,
                                           1.0 / 3628800.0,
                                           1.0 / 362880.0,
                                           1.0 / 40320.0,
                                           1.0 / 5040.0,
                                           1.0 / 720.0,
                                           1.0 / 120.0,
                                           1.0 / 24.0,
                                           1.0 / 6.0,
                                           0.5};
  for (const double c : inverse_factorials) p = p * r + c;
  const double value = 1.0 + (r + r * r * p);
  const int exponent = static_cast<int>(k);
  if (exponent >= -1021 && exponent <= 1023) return value * power_of_two(exponent);
  if (exponent > 1023) return value * power_of_two(1023) * power_of_two(exponent - 1023);
  return value * power_of_two(exponent + 100) * power_of_two(-100);
}

double exact_log(double x) {
  if (std::isnan(x) || x < 0.0) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0.0) return -infinity;
  if (x == infinity) return infinity;
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --exponent;
  }
  // ln m = 2 atanh(s), s = (m-1)/(m+1), |s| <= 0.1716: odd series to s^23.
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  double p = 2.0 / 23.0;
  for (int n = 21; n >= 3; n -= 2) p = p * z + 2.0 / n;
  const double k = exponent;
  // f - s*f + s*z*p == 2s + s*z*p with the leading term exact (f is exact).
  return k * ln2_high + (f - (s * (f - z * p) - k * ln2_low));
}

double exact_log_sum_exp(std::span<const double> x) {
  double m = -infinity;
  for (const double v : x)
    if (!(v <= m)) m = v;  // also a NaN, so that the sum shows it
  if (m == -infinity) return -infinity;
  double sum = 0.0;
  for (const double v : x) sum += exact_exp(v - m);
  return m + exact_log(sum);
}

}  // namespace shoal
