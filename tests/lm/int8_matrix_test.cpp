// Products with 8-bit weights against the same rounding in plain integers, and their kernels on every instruction set.
#include "lm/cpu/int8_matrix.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/parallel.hpp"
#include "lm/cpu/kernels_by_isa.hpp"
#include "lm/cpu/panel_product.hpp"

namespace shoal::lm::cpu {
namespace {

std::vector<float> normal(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> one;
  std::vector<float> values(count);
  for (float& value : values) value = one(generator);
  return values;
}

struct Rounded {
  std::vector<int> values;
  float scale = 0.0F;
};

Rounded round_plainly(const float* x, int n) {
  float largest = 0.0F;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  Rounded out;
  out.scale = largest / 127.0F;
  const float inverse = out.scale > 0.0F ? 1.0F / out.scale : 0.0F;
  for (int i = 0; i < n; ++i) out.values.push_back(static_cast<int>(std::nearbyint(x[i] * inverse)));
  return out;
}

class Int8Product : public testing::Test {
 protected:
  void SetUp() override {
    if (!computes_int8()) GTEST_SKIP() << "this processor has no products of 8 bits";
  }
  void TearDown() override { set_worker_threads(1); }
};

TEST_F(Int8Product, IsTheProductOfTheRoundedOperands) {
  for (const auto& [outputs, inputs] : {std::pair{7, 16}, {100, 48}, {4096, 32}, {4100, 32}, {8200, 16}}) {
    constexpr int rows = 3;
    const auto w = normal(static_cast<std::size_t>(outputs * inputs), 1);
    auto x = normal(static_cast<std::size_t>(rows * inputs), 2);
    std::fill_n(x.begin() + inputs, inputs, 0.0F);  // a row of zeros
    MatrixPacker packer(OperandType::f32, WeightFormat::int8);
    const auto matrix = packer.pack({outputs, inputs, OperandType::f32, w.data()});
    std::vector<float> y(static_cast<std::size_t>(rows * outputs));

    matrix->multiply(x.data(), rows, y.data());

    for (int r = 0; r < rows; ++r) {
      const Rounded row = round_plainly(&x[static_cast<std::size_t>(r * inputs)], inputs);
      for (int o = 0; o < outputs; ++o) {
        const Rounded weights = round_plainly(&w[static_cast<std::size_t>(o * inputs)], inputs);
        int sum = 0;
        for (std::size_t k = 0; k < row.values.size(); ++k) sum += row.values[k] * weights.values[k];
        ASSERT_EQ(y[static_cast<std::size_t>(r * outputs + o)], static_cast<float>(sum) * (weights.scale * row.scale))
            << outputs << " x " << inputs << " at " << r << ", " << o;
      }
    }
  }
}

TEST_F(Int8Product, IsCloseToTheExactProduct) {
  constexpr int outputs = 64, inputs = 1024;
  const auto w = normal(outputs * inputs, 3);
  const auto x = normal(inputs, 4);
  MatrixPacker packer(OperandType::f32, WeightFormat::int8);
  std::vector<float> y(outputs);

  packer.pack({outputs, inputs, OperandType::f32, w.data()})->multiply(x.data(), 1, y.data());

  double squares = 0.0;
  for (std::size_t o = 0; o < outputs; ++o) {
    double exact = 0.0;
    for (std::size_t k = 0; k < inputs; ++k) exact += static_cast<double>(x[k]) * w[o * inputs + k];
    squares += (y[o] - exact) * (y[o] - exact) / inputs;
  }
  // Each operand is off by up to half of its largest value / 127, about 0.013 on the average.
  EXPECT_LT(std::sqrt(squares / outputs), 0.02);
}

TEST_F(Int8Product, KeepsARowsBitsForAnyNumberOfRowsAndThreads) {
  constexpr int all_rows = 70, outputs = 200, inputs = 96;
  const auto w = normal(outputs * inputs, 5);
  const auto x = normal(all_rows * inputs, 6);
  MatrixPacker packer(OperandType::f32, WeightFormat::int8);
  const auto matrix = packer.pack({outputs, inputs, OperandType::f32, w.data()});
  std::vector<float> all(all_rows * outputs);
  matrix->multiply(x.data(), all_rows, all.data());

  for (const int threads : {1, 2, 3})
    for (const int rows : {1, 2, 7, 16, 33, 64}) {
      set_worker_threads(threads);
      std::vector<float> some(static_cast<std::size_t>(rows * outputs));
      matrix->multiply(x.data() + 5 * inputs, rows, some.data());
      EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + 5 * outputs)) << rows << ", " << threads;
    }
}

#ifdef __x86_64__
/// A panel and rows of all 8-bit numbers, the extremes among them, and the scales of their sums.
struct PanelOperands {
  PanelOperands(int rows, int words, std::uint64_t seed) {
    std::mt19937_64 generator(seed);
    x.resize(static_cast<std::size_t>(rows * words));
    panel.resize(static_cast<std::size_t>(words * panel_outputs));
    for (std::uint32_t& word : x) word = generator() % 5 == 0 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(generator());
    for (std::uint32_t& word : panel)
      word = generator() % 5 == 0 ? 0x80808080U : static_cast<std::uint32_t>(generator());
    of_rows = normal(static_cast<std::size_t>(rows), seed + 1);
    of_outputs = normal(panel_outputs, seed + 2);
    for (int i = 0; i < panel_outputs; ++i) offsets.push_back(static_cast<std::int32_t>(generator() % 100'000));
  }
  AlignedVector<std::uint32_t> x, panel;
  std::vector<float> of_rows, of_outputs;
  std::vector<std::int32_t> offsets;
};

using Product = void (*)(const PanelProduct&, const Int8Scales&);

std::vector<float> multiply_with(Product product, const PanelOperands& in, int rows, int words, int outputs) {
  std::vector<float> y(static_cast<std::size_t>(rows * outputs + 1), -1.0F);
  product({in.x.data(), rows, words, in.panel.data(), outputs, y.data(), outputs},
          {in.of_rows.data(), in.of_outputs.data(), in.offsets.data()});
  return y;
}

std::vector<float> multiply_plainly(const PanelOperands& in, int rows, int words, int outputs) {
  std::vector<float> y;
  for (int r = 0; r < rows; ++r)
    for (int o = 0; o < outputs; ++o) {
      std::int32_t sum = -in.offsets[static_cast<std::size_t>(o)];
      for (int k = 0; k < 4 * words; ++k) {
        const std::uint32_t a = in.x[static_cast<std::size_t>(r * words + k / 4)];
        const std::uint32_t b = in.panel[static_cast<std::size_t>(k / 4 * panel_outputs + o)];
        sum += static_cast<std::uint8_t>(a >> k % 4 * 8) * static_cast<std::int8_t>(b >> k % 4 * 8);
      }
      y.push_back(static_cast<float>(sum) *
                  (in.of_outputs[static_cast<std::size_t>(o)] * in.of_rows[static_cast<std::size_t>(r)]));
    }
  y.push_back(-1.0F);  // what lies behind is left alone
  return y;
}

TEST(Int8Kernels, MultiplyToTheSameBitsOnEveryInstructionSet) {
  std::vector<Product> products;
  if (__builtin_cpu_supports("avx2")) products.push_back(multiply_int8_avx2);
  if (has_avx_vnni()) products.push_back(multiply_int8_avx2_vnni);
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) products.push_back(multiply_int8);

  for (const int rows : {1, 2, 3, 4, 5, 6, 7, 12, 13, 33})
    for (const int words : {4, 64, 68, 516})
      for (const int outputs : {1, 8, 15, 16, 47, 64}) {
        const PanelOperands in(rows, words, static_cast<std::uint64_t>(rows * 1000 + words + outputs));
        const auto expected = multiply_plainly(in, rows, words, outputs);
        for (std::size_t i = 0; i < products.size(); ++i)
          ASSERT_EQ(multiply_with(products[i], in, rows, words, outputs), expected)
              << "product " << i << " of " << rows << " rows, " << words << " words, " << outputs << " outputs";
      }
}
#endif

TEST(Int8Kernels, RoundHalvesToEvenAndReachBothEnds) {
  std::vector<float> x(32, 0.0F);
  x[0] = 127.0F;
  x[1] = -127.0F;
  x[2] = 0.5F;
  x[3] = 1.5F;
  x[4] = -2.5F;
  x[31] = 100.4F;
  std::vector<std::uint8_t> out(32);

  const float scale = baseline_kernels_f32().round_row(x.data(), 32, out.data());

  EXPECT_EQ(scale, 1.0F);
  EXPECT_EQ(out[0], 255);
  EXPECT_EQ(out[1], 1);
  EXPECT_EQ(out[2], 128);
  EXPECT_EQ(out[3], 130);
  EXPECT_EQ(out[4], 126);
  EXPECT_EQ(out[5], 128);
  EXPECT_EQ(out[31], 228);
}

#ifdef __x86_64__
TEST(Int8Kernels, HaveTheSameBitsOnEveryInstructionSet) {
  const auto x = normal(272, 7);
  std::vector<std::uint8_t> expected(272), found(272);
  const float scale = baseline_kernels_f32().round_row(x.data(), 272, expected.data());
  std::vector<const Kernels<float>*> others;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) others.push_back(&avx2_kernels_f32());
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    others.push_back(&avx512_kernels_f32());

  for (const Kernels<float>* kernels : others) {
    EXPECT_EQ(kernels->round_row(x.data(), 272, found.data()), scale);
    EXPECT_EQ(found, expected);
  }
}
#endif

}  // namespace
}  // namespace shoal::lm::cpu
