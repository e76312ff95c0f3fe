// Every instruction set's kernels: the same bits as the baseline's, and close to plain formulas in double precision.
#include "lm/cpu/kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernel_tables.hpp"
#include "lm/cpu/matmul.hpp"

namespace shoal::lm::cpu {
namespace {

template <class T>
class KernelsTest : public testing::Test {
 protected:
  static constexpr double rounding = operand_type<T> == OperandType::bf16 ? 0x1p-8 : 1e-6;

  template <class Compute>
  std::vector<double> same_for_all(std::size_t n, const Compute& compute) {
    return cpu::same_for_all<T>(tables<T>(), n, compute);
  }
};

using Types = testing::Types<float, Bf16>;
TYPED_TEST_SUITE(KernelsTest, Types);

TYPED_TEST(KernelsTest, RmsNormFollowsItsFormula) {
  for (const int n : {16, 48, 256, 4864})
    for (const float scale : {1.0F, 1e-4F, 1e4F}) {
      const auto size = static_cast<std::size_t>(n);
      const auto x = normal(size, 1, scale), weight = normal(size, 2);

      const auto found = this->same_for_all(
          size, [&](const auto& kernels, TypeParam* out) { kernels.rms_norm(x.data(), weight.data(), n, 1e-6F, out); });

      double squares = 0.0;
      for (const float v : x) squares += static_cast<double>(v) * v;
      std::vector<double> expected;
      for (std::size_t i = 0; i < size; ++i) expected.push_back(x[i] / std::sqrt(squares / n + 1e-6) * weight[i]);
      expect_close(found, expected, this->rounding);
    }
}

TYPED_TEST(KernelsTest, RmsNormOfZerosIsZero) {
  const std::vector<float> zeros(32), weight(32, 1.0F);

  const auto found = this->same_for_all(
      32, [&](const auto& kernels, TypeParam* out) { kernels.rms_norm(zeros.data(), weight.data(), 32, 1e-6F, out); });

  EXPECT_EQ(found, std::vector<double>(32));
}

TYPED_TEST(KernelsTest, LayerNormFollowsItsFormula) {
  for (const int n : {16, 48, 768})
    for (const float offset : {0.0F, 100.0F}) {
      const auto size = static_cast<std::size_t>(n);
      auto x = normal(size, 1);
      for (float& v : x) v += offset;
      const auto weight = normal(size, 2), bias = normal(size, 3);

      const auto found = this->same_for_all(size, [&](const auto& kernels, TypeParam* out) {
        kernels.layer_norm(x.data(), {weight.data(), bias.data(), 1e-5F}, n, out);
      });

      double mean = 0.0, squares = 0.0;
      for (const float v : x) mean += v / static_cast<double>(n);
      for (const float v : x) squares += (v - mean) * (v - mean);
      std::vector<double> expected;
      for (std::size_t i = 0; i < size; ++i)
        expected.push_back((x[i] - mean) / std::sqrt(squares / n + 1e-5) * weight[i] + bias[i]);
      expect_close(found, expected, this->rounding + offset * 1e-7);
    }
}

TYPED_TEST(KernelsTest, LayerNormOfEqualValuesIsItsBias) {
  const std::vector<float> x(32, 3.0F), weight(32, 2.0F), bias(32, 0.5F);

  const auto found = this->same_for_all(32, [&](const auto& kernels, TypeParam* out) {
    kernels.layer_norm(x.data(), {weight.data(), bias.data(), 1e-5F}, 32, out);
  });

  EXPECT_EQ(found, std::vector<double>(32, 0.5));
}

TYPED_TEST(KernelsTest, RmsNormInPlaceIsRmsNorm) {
  const auto x = normal(128, 1), weight = normal(128, 2);
  std::vector<float> expected(128);
  baseline_kernels_f32().rms_norm(x.data(), weight.data(), 128, 1e-6F, expected.data());

  for (const auto& [name, kernels] : tables<TypeParam>()) {
    auto found = x;
    kernels->rms_norm_in_place(found.data(), weight.data(), 128, 1e-6F);
    EXPECT_EQ(found, expected) << name;
  }
}

TYPED_TEST(KernelsTest, GeluFollowsItsFormula) {
  for (const float scale : {0.01F, 1.0F, 30.0F, 1e4F}) {
    const auto x = normal(640, 3, scale);

    const auto found =
        this->same_for_all(640, [&](const auto& kernels, TypeParam* out) { kernels.gelu_tanh(x.data(), 640, out); });

    std::vector<double> expected;
    for (const double v : x)
      expected.push_back(0.5 * v * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v))));
    expect_close(found, expected, this->rounding);
  }
}

TYPED_TEST(KernelsTest, ExactGeluFollowsItsFormula) {
  for (const float scale : {0.01F, 1.0F, 3.0F, 1e4F}) {
    const auto x = normal(656, 3, scale);

    const auto found =
        this->same_for_all(656, [&](const auto& kernels, TypeParam* out) { kernels.gelu(x.data(), 656, out); });

    std::vector<double> expected;
    for (const double v : x) expected.push_back(0.5 * v * std::erfc(-v / std::sqrt(2.0)));
    expect_close(found, expected, this->rounding);
  }
}

TYPED_TEST(KernelsTest, GegluFollowsItsFormula) {
  for (const float scale : {0.01F, 1.0F, 30.0F}) {
    const auto gate = normal(656, 3, scale), up = normal(656, 4);

    const auto found = this->same_for_all(
        656, [&](const auto& kernels, TypeParam* out) { kernels.geglu_tanh(gate.data(), up.data(), 656, out); });

    std::vector<double> expected;
    for (std::size_t i = 0; i < 656; ++i) {
      const double v = gate[i];
      expected.push_back(0.5 * v * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v))) * up[i]);
    }
    expect_close(found, expected, this->rounding);
  }
}

/// Each number for itself: those near 0 keep their digits too.
TYPED_TEST(KernelsTest, SoftCapFollowsItsFormulaToTheLastNumber) {
  for (const std::size_t n : {1UL, 15UL, 16UL, 37UL, 640UL})
    for (const float scale : {1e-3F, 1.0F, 10.0F, 100.0F}) {
      const auto x = normal(n, 3, scale);
      for (const auto& [name, kernels] : tables<TypeParam>()) {
        auto found = x;
        kernels->soft_cap(found.data(), static_cast<int>(n), 5.0F);
        for (std::size_t i = 0; i < n; ++i) {
          const double expected = 5.0 * std::tanh(static_cast<double>(x[i]) / 5.0);
          ASSERT_NEAR(found[i], expected, 5e-7 * std::abs(expected)) << name << " at " << x[i];
        }
      }
    }
}

TYPED_TEST(KernelsTest, CopyRoundsEveryNumber) {
  const auto x = normal(48, 9);

  const auto found =
      this->same_for_all(48, [&](const auto& kernels, TypeParam* out) { kernels.copy(x.data(), 48, out); });

  for (std::size_t i = 0; i < x.size(); ++i) {
    TypeParam rounded;
    assign(x[i], &rounded);
    EXPECT_EQ(found[i], to_double(rounded));
  }
}

TYPED_TEST(KernelsTest, SwigluFollowsItsFormula) {
  for (const float scale : {1.0F, 30.0F, 1e4F}) {
    const auto gate = normal(640, 3, scale), up = normal(640, 4);

    const auto found = this->same_for_all(
        640, [&](const auto& kernels, TypeParam* out) { kernels.swiglu(gate.data(), up.data(), 640, out); });

    std::vector<double> expected;
    for (std::size_t i = 0; i < 640; ++i)
      expected.push_back(gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))) * up[i]);
    expect_close(found, expected, this->rounding);
  }
}

TYPED_TEST(KernelsTest, RotateTurnsPairsByTheirAngles) {
  for (const int half : {8, 16, 64, 128}) {
    const auto size = static_cast<std::size_t>(half);
    const auto x = normal(2 * size, 5);
    std::vector<float> cosines, sines, first;
    for (int i = 0; i < half; ++i) {
      cosines.push_back(static_cast<float>(std::cos(0.3 * i)));
      sines.push_back(static_cast<float>(std::sin(0.3 * i)));
    }
    for (const auto& [name, kernels] : tables<TypeParam>()) {
      auto turned = x;
      kernels->rotate(turned.data(), cosines.data(), sines.data(), half);

      if (first.empty()) first = turned;
      EXPECT_EQ(turned, first) << name;
      for (std::size_t i = 0; i < size; ++i) {
        const double angle = 0.3 * static_cast<double>(i);
        EXPECT_NEAR(turned[i], x[i] * std::cos(angle) - x[i + size] * std::sin(angle), 1e-6);
        EXPECT_NEAR(turned[i + size], x[i + size] * std::cos(angle) + x[i] * std::sin(angle), 1e-6);
      }
    }
  }
}

TYPED_TEST(KernelsTest, AddTakesAnyLength) {
  for (const std::size_t n : {1U, 16U, 37U}) {
    const auto x = normal(n, 1), y = normal(n, 2);
    for (const auto& [name, kernels] : tables<TypeParam>()) {
      std::vector<float> sum = y;
      kernels->add(x.data(), static_cast<int>(n), sum.data());
      for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(sum[i], x[i] + y[i]) << name;
    }
  }
}

TYPED_TEST(KernelsTest, ThePanelProductKeepsARowsBitsForAnyNumberOfRows) {
  constexpr int inputs = 328, all_rows = 40, stride = panel_width + 4;
  const auto x = normal(all_rows * inputs, 10), panel_values = normal(panel_width * inputs, 11);
  std::vector<TypeParam> panel(panel_values.size());
  const auto place = [](int k, int output) {
    return static_cast<std::size_t>(k * panel_width + panel_place<TypeParam>(output));
  };
  for (int k = 0; k < inputs; ++k)
    for (int output = 0; output < panel_width; ++output)
      assign(panel_values[static_cast<std::size_t>(k * panel_width + output)], &panel[place(k, output)]);

  for (const auto& [name, kernels] : tables<TypeParam>()) {
    std::vector<float> all(static_cast<std::size_t>(all_rows * panel_width));
    kernels->multiply({x.data(), all_rows, inputs, panel.data(), panel_width, all.data(), panel_width});
    for (int row = 0; row < all_rows; ++row)
      for (int output = 0; output < panel_width; ++output) {
        double expected = 0.0;
        for (int k = 0; k < inputs; ++k)
          expected +=
              static_cast<double>(x[static_cast<std::size_t>(row * inputs + k)]) * to_double(panel[place(k, output)]);
        ASSERT_NEAR(all[static_cast<std::size_t>(row * panel_width + output)], expected, 1e-4) << name;
      }
    for (const int outputs : {1, 13, 31, panel_width})
      for (int rows = 1; rows < 20; ++rows) {
        std::vector<float> some(static_cast<std::size_t>(rows * stride), -1.0F);
        kernels->multiply({x.data() + 3 * inputs, rows, inputs, panel.data(), outputs, some.data(), stride});
        for (int row = 0; row < rows; ++row)
          for (int output = 0; output < stride; ++output)
            ASSERT_EQ(some[static_cast<std::size_t>(row * stride + output)],
                      output < outputs ? all[static_cast<std::size_t>((row + 3) * panel_width + output)] : -1.0F)
                << name << ", " << rows << " rows of " << outputs;
      }
  }
}

TEST(NumberFormats, EveryHalfBecomesTheFloatOfItsValue) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float found = half_to_float(static_cast<std::uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10U & 0x1FU);
    const double mantissa = bits & 0x3FFU;
    const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
    if (exponent == 31 && mantissa != 0) {
      ASSERT_TRUE(std::isnan(found));
      continue;
    }
    double expected = sign * std::ldexp(1024.0 + mantissa, exponent - 25);
    if (exponent == 0) expected = sign * std::ldexp(mantissa, -24);
    if (exponent == 31) expected = sign * std::numeric_limits<double>::infinity();
    ASSERT_EQ(found, expected);
    ASSERT_EQ(std::signbit(found), sign < 0);
  }
}

TEST(NumberFormats, Bf16RoundsToTheNearerNeighbourAndTiesToEven) {
  std::mt19937_64 generator(3);
  for (int i = 0; i < 200000; ++i) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(generator()));
    const float rounded = Bf16::from_float(x).to_float();
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(rounded));
      continue;
    }
    const Bf16 below{static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16U)};
    const Bf16 above{static_cast<std::uint16_t>(below.bits + 1)};  // away from zero
    const double down = std::abs(static_cast<double>(x) - below.to_float());
    const double up = std::isinf(above.to_float()) ? std::abs(std::ldexp(std::copysign(1.0, x), 128) - x)
                                                   : std::abs(static_cast<double>(above.to_float()) - x);
    if (std::isinf(x)) {
      ASSERT_EQ(rounded, x);
    } else if (down != up) {
      ASSERT_EQ(rounded, down < up ? below.to_float() : above.to_float());
    } else {
      ASSERT_EQ(Bf16::from_float(x).bits % 2, 0);
    }
  }
  EXPECT_EQ(Bf16::from_float(0x1.01p0F).to_float(), 1.0F);
  EXPECT_EQ(Bf16::from_float(0x1.03p0F).to_float(), 0x1.04p0F);
}

}  // namespace
}  // namespace shoal::lm::cpu
