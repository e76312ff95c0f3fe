// The products, by either library: a row's bits do not depend on how many rows or threads there are.
#include "lm/cpu/matmul.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <tuple>
#include <vector>

#include "base/parallel.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int all_rows = 300;

class Product : public testing::TestWithParam<std::tuple<OperandType, ProductLibrary>> {
 protected:
  void SetUp() override {
    if (library == ProductLibrary::one_dnn && best_library(type) != ProductLibrary::one_dnn)
      GTEST_SKIP() << "oneDNN's kernels for this processor do not keep a row's bits: unused";
  }
  void TearDown() override { set_worker_threads(1); }

  std::vector<std::byte> operand(const std::vector<float>& values) const {
    std::vector<std::byte> bytes(values.size() * element_size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Bf16 narrow = Bf16::from_float(values[i]);
      std::memcpy(bytes.data() + i * element_size(),
                  type == OperandType::f32 ? static_cast<const void*>(&values[i]) : &narrow, element_size());
    }
    return bytes;
  }
  [[nodiscard]] std::size_t element_size() const { return type == OperandType::f32 ? 4 : 2; }

  OperandType type = std::get<0>(GetParam());
  ProductLibrary library = std::get<1>(GetParam());
};

/// Multiples of 1/16 up to 1 in size: exact in bf16, so that the reference has the same inputs.
std::vector<float> sixteenths(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(static_cast<int>(generator() % 33) - 16) / 16.0F;
  return values;
}

TEST_P(Product, IsTheProduct) {
  for (const auto& [outputs, inputs] : {std::pair{7, 16}, {100, 48}, {176, 64}, {640, 256}}) {
    const auto w = sixteenths(static_cast<std::size_t>(outputs * inputs), 1);
    const auto x = sixteenths(static_cast<std::size_t>(5 * inputs), 2);
    MatrixPacker packer(type, library);
    const auto matrix = packer.pack({outputs, inputs, OperandType::f32, w.data()});
    std::vector<float> y(static_cast<std::size_t>(5 * outputs));

    matrix->multiply(operand(x).data(), 5, y.data());

    for (int row = 0; row < 5; ++row)
      for (int output = 0; output < outputs; ++output) {
        float expected = 0.0F;  // multiples of 1/256: exact in any order
        for (int k = 0; k < inputs; ++k)
          expected += x[static_cast<std::size_t>(row * inputs + k)] * w[static_cast<std::size_t>(output * inputs + k)];
        ASSERT_EQ(y[static_cast<std::size_t>(row * outputs + output)], expected);
      }
  }
}

TEST_P(Product, PacksWeightsOfEitherTypeAlike) {
  const auto w = sixteenths(64 * 32, 1);
  std::vector<Bf16> narrow;
  for (const float value : w) narrow.push_back(Bf16::from_float(value));
  const auto x = operand(sixteenths(32, 2));
  MatrixPacker packer(type, library);
  std::vector<float> from_f32(64), from_bf16(64);

  packer.pack({64, 32, OperandType::f32, w.data()})->multiply(x.data(), 1, from_f32.data());
  packer.pack({64, 32, OperandType::bf16, narrow.data()})->multiply(x.data(), 1, from_bf16.data());

  EXPECT_EQ(from_f32, from_bf16);
}

TEST_P(Product, OfNoRowsIsNothing) {
  const auto w = sixteenths(64 * 32, 1);
  MatrixPacker packer(type, library);

  packer.pack({64, 32, OperandType::f32, w.data()})->multiply(nullptr, 0, nullptr);
}

TEST_P(Product, KeepsARowsBitsForAnyNumberOfRowsAndThreads) {
  std::mt19937_64 generator(1);
  std::normal_distribution<float> normal;
  for (const auto& [outputs, inputs] : {std::pair{112, 48}, {512, 256}, {256, 640}, {896, 896}, {144, 2048}}) {
    std::vector<float> w(static_cast<std::size_t>(outputs * inputs)), x(static_cast<std::size_t>(all_rows * inputs));
    for (float& value : w) value = normal(generator);
    for (float& value : x) value = normal(generator);
    const auto x_bytes = operand(x);
    MatrixPacker packer(type, library);
    const auto matrix = packer.pack({outputs, inputs, OperandType::f32, w.data()});
    std::vector<float> all(static_cast<std::size_t>(all_rows * outputs)), some(all.size());
    set_worker_threads(1);
    matrix->multiply(x_bytes.data(), all_rows, all.data());

    for (const int threads : {1, 2, 5})
      for (const int rows : {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129, 255, 256}) {
        set_worker_threads(threads);
        const int first = rows * 7 % (all_rows - rows);
        const std::size_t offset = static_cast<std::size_t>(first * inputs) * element_size();
        matrix->multiply(x_bytes.data() + offset, rows, some.data());
        ASSERT_EQ(std::memcmp(some.data(), all.data() + first * outputs,
                              sizeof(float) * static_cast<std::size_t>(rows * outputs)),
                  0)
            << outputs << " x " << inputs << ", " << rows << " rows, " << threads << " threads";
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Libraries, Product,
                         testing::Values(std::tuple{OperandType::f32, ProductLibrary::one_dnn},
                                         std::tuple{OperandType::f32, ProductLibrary::own},
                                         std::tuple{OperandType::bf16, ProductLibrary::own}),
                         [](const auto& i) {
                           return std::string(std::get<1>(i.param) == ProductLibrary::own ? "own" : "oneDnn") +
                                  (std::get<0>(i.param) == OperandType::f32 ? "InF32" : "InBf16");
                         });

}  // namespace
}  // namespace shoal::lm::cpu
