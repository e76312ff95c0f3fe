// Products by cuBLASLt, which emulated_cuda.cpp emulates with what it asks of its callers.
#include "lm/cuda/products.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "lm/cuda/batch_sizes.hpp"
#include "lm/number_formats.hpp"
#include "shoal/error.hpp"

namespace shoal::lm::cuda {
namespace {

class ProductsOf : public testing::Test {
 protected:
  Array<Bf16> random(std::size_t count, std::uint64_t seed, std::vector<double>* values) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<Bf16> numbers;
    for (std::size_t i = 0; i < count; ++i) {
      numbers.push_back(Bf16::from_float(normal(generator)));
      values->push_back(numbers.back().to_float());
    }
    Array<Bf16> to(count);
    copy_to_device(std::span<const Bf16>(numbers), to.data(), stream);
    stream.wait();
    return to;
  }
  Stream stream;
};

TEST_F(ProductsOf, PartsSumOverTheirOwnInputs) {
  constexpr std::size_t outputs = 48, inputs = 1024, rows = 3;
  const int parts = parts_of(outputs, inputs);
  ASSERT_EQ(parts, 4);
  std::vector<double> w, x;
  const Array<Bf16> weights = random(outputs * inputs, 1, &w), operand = random(most_rows * inputs, 2, &x);
  const std::size_t part_size = most_rows * outputs;
  Array<float> y(4 * part_size);
  Products products(stream);
  const ProductShape shape{outputs, inputs, Output::f32, false, parts};
  products.prepare(shape, weights.data());

  products.multiply(shape, 4, {weights.data(), operand.data(), nullptr, y.data()});

  std::vector<float> found(y.size());
  copy_to_host(y.data(), std::span(found), stream);
  stream.wait();
  for (std::size_t p = 0; p < 4; ++p)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t o = 0; o < outputs; ++o) {
        double sum = 0.0;
        for (std::size_t i = p * inputs / 4; i < (p + 1) * inputs / 4; ++i)
          sum += w[o * inputs + i] * x[r * inputs + i];
        ASSERT_NEAR(found[p * part_size + r * outputs + o], sum, 1e-4) << "part " << p << ", row " << r;
      }
}

TEST(PartsOf, AShapeAreAlignedAndLongEnough) {
  EXPECT_EQ(parts_of(896, 4864), 4);    // 0.5B
  EXPECT_EQ(parts_of(2048, 5632), 4);   // 1.1B
  EXPECT_EQ(parts_of(4096, 14336), 2);  // 8B
  EXPECT_EQ(parts_of(28672, 4096), 1);
  for (int outputs = 16; outputs < 9000; outputs += 336)
    for (int inputs = 16; inputs < 20000; inputs += 16) {
      const int parts = parts_of(outputs, inputs);
      ASSERT_TRUE(parts == 1 || (inputs % (16 * parts) == 0 && inputs / parts >= 256)) << outputs << " x " << inputs;
    }
}

TEST_F(ProductsOf, EightBitsNeedMultiplesOfFour) {
  const Array<std::byte> weights(4096);
  Products products(stream);
  EXPECT_NO_THROW(products.prepare({20, 32, Output::sums_of_8_bits, false}, weights.data()));
  EXPECT_THROW(products.prepare({18, 32, Output::sums_of_8_bits, false}, weights.data()), ModelError);
}

/// That the emulation refuses what CUDA does.
TEST_F(ProductsOf, NothingForbiddenIsLetThrough) {
  const auto record = [&](const auto& action) {
    (void)cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal);
    action();
  };
  EXPECT_DEATH(record([] { const Array<int> more(3); }), "cudaMalloc while a graph is recorded");
  EXPECT_DEATH(record([&] { stream.wait(); }), "cudaStreamSynchronize while a graph is recorded");
  const Array<int> there(3);
  const std::vector<int> here(3);
  EXPECT_DEATH(record([&] { copy_to_device(std::span(here), there.data(), stream); }), "not pinned");
  EXPECT_DEATH((cudaSetDevice(1), copy_to_device(std::span(here), there.data(), stream)), "another GPU");
}

}  // namespace
}  // namespace shoal::lm::cuda
