// The products for AMX, with its instructions computed in plain C++, see emulated_tiles.hpp.
#ifdef __x86_64__
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/aligned.hpp"
#include "emulated_tiles.hpp"
#include "lm/cpu/matmul.hpp"
#include "lm/cpu/panels.hpp"
#include "shoal/error.hpp"

namespace shoal::lm::cpu {
namespace {

void multiply_bf16_emulated(const PanelProduct& task) { multiply_tiles<EmulatedTiles, Bf16Words>(task); }
void multiply_int8_emulated(const PanelProduct& task, const Int8Scales& scales) {
  multiply_tiles<EmulatedTiles>(task, scales);
}
constexpr PanelProducts emulated{multiply_bf16_emulated, multiply_int8_emulated, PanelParts::outputs};

constexpr float untouched = -12345.0F;
using Words = AlignedVector<std::uint32_t>;

Words random_pairs(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  Words words(count);
  for (std::uint32_t& word : words) {
    const std::uint32_t low = Bf16::from_float(normal(generator)).bits, high = Bf16::from_float(normal(generator)).bits;
    word = low | high << 16U;
  }
  return words;
}

Words random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  Words words(count);
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(generator());
  return words;
}

std::vector<float> random_floats(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::uniform_real_distribution<float> uniform(0.5F, 2.0F);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(generator);
  return values;
}

/// Rows and a panel just as long as they need be: a sanitizer sees what is read beyond.
struct Operands {
  Operands(Words (*random)(std::size_t, std::uint64_t), int all_rows, int words_of_a_row)
      : words(words_of_a_row),
        x(random(static_cast<std::size_t>(all_rows * words), 1)),
        panel(random(static_cast<std::size_t>(words * panel_outputs), 2)) {}

  [[nodiscard]] std::uint32_t row_word(int row, int k) const { return x[static_cast<std::size_t>(row * words + k)]; }
  [[nodiscard]] std::uint32_t weight_word(int k, int output) const {
    return panel[static_cast<std::size_t>(k * panel_outputs + output)];
  }
  /// Of rows from @p row on and outputs from @p output on.
  [[nodiscard]] PanelProduct task(int row, int rows, int output, int outputs, float* y, int stride) const {
    return {x.data() + row * words, rows, words, panel.data() + output, outputs, y, stride};
  }

  int words;
  Words x, panel;
};

/// As the manual's pseudocode says, for one result: 16 words for themselves, low and high halves apart.
float bf16_result(const Operands& operands, int row, int output) {
  float sum = 0.0F;
  for (int first = 0; first < operands.words; first += 16) {
    float low = 0.0F, high = 0.0F;
    for (int k = first; k < std::min(first + 16, operands.words); ++k) {
      const std::uint32_t a = operands.row_word(row, k), b = operands.weight_word(k, output);
      low = std::fma(std::bit_cast<float>(a << 16U), std::bit_cast<float>(b << 16U), low);
      high = std::fma(std::bit_cast<float>(a & 0xFFFF0000U), std::bit_cast<float>(b & 0xFFFF0000U), high);
    }
    sum += low + high;
  }
  return sum;
}

double exact_bf16_result(const Operands& operands, int row, int output) {
  double sum = 0.0;
  for (int k = 0; k < operands.words; ++k)
    for (const unsigned shift : {16U, 0U}) {
      const auto value = [&](std::uint32_t word) {
        return static_cast<double>(std::bit_cast<float>(word << shift & 0xFFFF0000U));
      };
      sum += value(operands.row_word(row, k)) * value(operands.weight_word(k, output));
    }
  return sum;
}

std::int32_t int8_sum(const Operands& operands, int row, int output) {
  std::int32_t sum = 0;
  for (int k = 0; k < operands.words; ++k)
    for (unsigned shift = 0; shift < 32; shift += 8)
      sum += static_cast<std::uint8_t>(operands.row_word(row, k) >> shift) *
             static_cast<std::int8_t>(operands.weight_word(k, output) >> shift);
  return sum;
}

/// One block and less, several, with and without words beyond the last whole tile.
constexpr int numbers_of_words[] = {4, 8, 12, 16, 20, 48, 256, 260, 272, 536};

TEST(TileProduct, InBf16IsTheSumThatTheManualDescribes) {
  for (const int words : numbers_of_words)
    for (const int rows : {1, 16, 17, 33, 45}) {
      const Operands operands(random_pairs, rows, words);
      std::vector<float> y(static_cast<std::size_t>(rows * panel_outputs));

      multiply_bf16_emulated(operands.task(0, rows, 0, panel_outputs, y.data(), panel_outputs));

      for (int row = 0; row < rows; ++row)
        for (int output = 0; output < panel_outputs; ++output) {
          const float found = y[static_cast<std::size_t>(row * panel_outputs + output)];
          ASSERT_EQ(found, bf16_result(operands, row, output)) << words << " words, " << rows << " rows";
          ASSERT_NEAR(found, exact_bf16_result(operands, row, output), 1e-5 * words);
        }
    }
}

TEST(TileProduct, InInt8IsTheScaledSumOfIntegers) {
  for (const int words : numbers_of_words)
    for (const int rows : {1, 17, 45}) {
      const Operands operands(random_bytes, rows, words);
      const auto of_rows = random_floats(static_cast<std::size_t>(rows), 3),
                 of_outputs = random_floats(panel_outputs, 4);
      std::vector<std::int32_t> offsets;
      for (int output = 0; output < panel_outputs; ++output) offsets.push_back(output * 1000 - 30000);
      std::vector<float> y(static_cast<std::size_t>(rows * panel_outputs));

      multiply_int8_emulated(operands.task(0, rows, 0, panel_outputs, y.data(), panel_outputs),
                             {of_rows.data(), of_outputs.data(), offsets.data()});

      for (int row = 0; row < rows; ++row)
        for (int output = 0; output < panel_outputs; ++output) {
          const auto o = static_cast<std::size_t>(output), r = static_cast<std::size_t>(row);
          ASSERT_EQ(y[r * panel_outputs + o],
                    static_cast<float>(int8_sum(operands, row, output) - offsets[o]) * (of_outputs[o] * of_rows[r]))
              << words << " words, " << rows << " rows";
        }
    }
}

TEST(TileProduct, KeepsARowsBitsForAnyRowsAndOutputsAndWritesNothingElse) {
  constexpr int all_rows = 107, words = 280, stride = panel_outputs + 3;
  const Operands operands(random_pairs, all_rows, words);
  std::vector<float> all(static_cast<std::size_t>(all_rows * panel_outputs));
  multiply_bf16_emulated(operands.task(0, all_rows, 0, panel_outputs, all.data(), panel_outputs));

  for (const auto& [output, outputs] :
       {std::pair{0, 64}, {0, 1}, {0, 16}, {16, 16}, {48, 16}, {48, 7}, {16, 32}, {0, 31}, {0, 40}, {32, 32}, {16, 48}})
    for (int rows = 1; rows <= 100; rows += rows < 36 ? 1 : 7) {
      const int first = rows * 7 % (all_rows - rows);
      std::vector<float> some(static_cast<std::size_t>(rows * stride), untouched);
      multiply_bf16_emulated(operands.task(first, rows, output, outputs, some.data(), stride));

      for (int row = 0; row < rows; ++row)
        for (int o = 0; o < stride; ++o)
          ASSERT_EQ(some[static_cast<std::size_t>(row * stride + o)],
                    o < outputs ? all[static_cast<std::size_t>((first + row) * panel_outputs + output + o)] : untouched)
              << rows << " rows, " << outputs << " outputs from " << output;
    }
}

TEST(TileProduct, LeavesTheTilesUnusedAndShapesThemSeldom) {
  const Operands operands(random_pairs, 100, 512);
  std::vector<float> y(std::size_t{100} * panel_outputs);
  const int before = EmulatedTiles::tiles_configured();

  multiply_bf16_emulated(operands.task(0, 100, 0, panel_outputs, y.data(), panel_outputs));

  EXPECT_TRUE(EmulatedTiles::released());
  EXPECT_EQ(EmulatedTiles::tiles_configured() - before, 1);  // four groups of 25 rows
}

TEST(TileProduct, CountsDenormalsAsZero) {
  Operands operands(random_pairs, 1, 16);
  std::fill(operands.x.begin(), operands.x.end(), 0x00010001U);  // the smallest bf16 numbers
  std::fill(operands.panel.begin(), operands.panel.end(), 0x3F803F80U);
  std::vector<float> y(panel_outputs);

  multiply_bf16_emulated(operands.task(0, 1, 0, panel_outputs, y.data(), panel_outputs));

  EXPECT_EQ(y, std::vector<float>(panel_outputs, 0.0F));
}

TEST(TileProduct, IsCloseToThatOfAvx512AndTheSameInInt8) {
  if (!has_fast_bf16()) GTEST_SKIP() << "this processor has no BF16 instructions";
  constexpr int rows = 45, words = 600, count = rows * panel_outputs;
  const Operands pairs(random_pairs, rows, words), quads(random_bytes, rows, words);
  const auto scales = random_floats(panel_outputs, 5);
  const std::vector<std::int32_t> offsets(panel_outputs, 321);
  std::vector<float> expected(count), found(count);

  multiply_bf16(pairs.task(0, rows, 0, panel_outputs, expected.data(), panel_outputs));
  multiply_bf16_emulated(pairs.task(0, rows, 0, panel_outputs, found.data(), panel_outputs));
  for (std::size_t i = 0; i < count; ++i) ASSERT_NEAR(found[i], expected[i], 2e-4);

  const Int8Scales int8{scales.data(), scales.data(), offsets.data()};
  multiply_int8(quads.task(0, rows, 0, panel_outputs, expected.data(), panel_outputs), int8);
  multiply_int8_emulated(quads.task(0, rows, 0, panel_outputs, found.data(), panel_outputs), int8);
  EXPECT_EQ(found, expected);
}

TEST(PanelsByOutputs, GiveTheSameBitsOnAnyNumberOfWorkers) {
  constexpr int rows = 37, outputs = 200, words = 24, panels = 4;
  const Words x = random_bytes(std::size_t{rows} * words, 6);
  const Words weights = random_bytes(std::size_t{panels} * words * panel_outputs, 7);
  const auto of_rows = random_floats(rows, 8), of_outputs = random_floats(outputs, 9);
  const std::vector<std::int32_t> offsets(outputs, 77);
  const int before = worker_threads();

  for (const int workers : {1, 2, 3, 5, 16, 40}) {
    set_worker_threads(workers);
    std::vector<float> y(std::size_t{rows} * outputs);
    Panels(outputs, words)
        .for_each(weights.data(), x.data(), rows, y.data(), PanelParts::outputs,
                  [&](int row, int output, const PanelProduct& product) {
                    multiply_int8_emulated(product, {.of_rows = of_rows.data() + row,
                                                     .of_outputs = of_outputs.data() + output,
                                                     .offsets = offsets.data() + output});
                  });

    for (int row = 0; row < rows; ++row)
      for (int output = 0; output < outputs; ++output) {
        std::int32_t sum = 0;
        for (int k = 0; k < words; ++k)
          for (unsigned shift = 0; shift < 32; shift += 8)
            sum += static_cast<std::uint8_t>(x[static_cast<std::size_t>(row * words + k)] >> shift) *
                   static_cast<std::int8_t>(
                       weights[static_cast<std::size_t>((output / panel_outputs * words + k) * panel_outputs +
                                                        output % panel_outputs)] >>
                       shift);
        const auto r = static_cast<std::size_t>(row), o = static_cast<std::size_t>(output);
        ASSERT_EQ(y[r * outputs + o], static_cast<float>(sum - 77) * (of_outputs[o] * of_rows[r])) << workers;
      }
  }
  set_worker_threads(before);
}

void expect_refused(const PanelProducts& wrong, const std::vector<const char*>& line) {
  try {
    check_products(wrong);
    ADD_FAILURE() << "no error";
  } catch (const ModelError& e) {
    for (const char* part : line) EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(CheckedProducts, PassWhereTheyAreRight) {
  EXPECT_NO_THROW(check_products(emulated));
  if (has_fast_bf16()) {
    EXPECT_NO_THROW(check_products({multiply_bf16, multiply_int8, PanelParts::rows}));
  }
}

TEST(CheckedProducts, AreRefusedInOneLineWhereTheyAreWrong) {
  PanelProducts no_sums = emulated, one_bit = emulated, too_wide = emulated, int8 = emulated;
  no_sums.bf16 = [](const PanelProduct&) {};
  one_bit.bf16 = [](const PanelProduct& task) {
    multiply_bf16_emulated(task);
    float& last = task.y[(task.rows - 1) * task.stride + task.outputs - 1];
    last = std::nextafter(last, 1e9F);
  };
  too_wide.bf16 = [](const PanelProduct& task) {
    multiply_bf16_emulated(task);
    task.y[task.outputs] = 0.0F;
  };
  int8.int8 = [](const PanelProduct& task, const Int8Scales& scales) {
    multiply_int8_emulated(task, scales);
    task.y[0] += 1.0F;
  };
  for (const PanelProducts& wrong : {no_sums, one_bit, too_wide})
    expect_refused(wrong, {"bf16", "AMX", "--isa avx512_bf16"});
  expect_refused(int8, {"8 bits", "AMX", "--isa avx512_bf16"});
}

}  // namespace
}  // namespace shoal::lm::cpu
#endif
