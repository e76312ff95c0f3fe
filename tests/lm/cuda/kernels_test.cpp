// The bodies of the GPU's kernels, on an emulated block of threads, against the operations in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "lm/cuda/attention_plan.hpp"
#include "lm/cuda/emulated_block.hpp"
#include "lm/cuda/kernels/attention.hpp"
#include "lm/cuda/kernels/place.hpp"
#include "lm/cuda/kernels/rows.hpp"

namespace shoal::lm::cuda {
namespace {

constexpr ThreadOrder orders[] = {ThreadOrder::forward, ThreadOrder::backward, ThreadOrder::shuffled};

std::vector<float> random_floats(std::size_t count, std::uint64_t seed, float scale = 1.0F) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(count);
  for (float& x : values) x = normal(generator);
  return values;
}

std::vector<Bf16> rounded(std::span<const float> values) {
  std::vector<Bf16> out;
  for (const float x : values) out.push_back(Bf16::from_float(x));
  return out;
}

std::vector<Bf16> random_bf16(std::size_t count, std::uint64_t seed, float scale = 1.0F) {
  return rounded(random_floats(count, seed, scale));
}

/// Half a unit in the last place of bf16, and a little for what went before.
void expect_near(Bf16 found, double expected) {
  EXPECT_NEAR(found.to_float(), expected, std::abs(expected) * 0x1p-8 + 1e-6) << "of " << expected;
}

template <class T>
std::vector<std::uint32_t> bits_of(const std::vector<T>& values) {
  std::vector<std::uint32_t> bits((values.size() * sizeof(T) + 3) / 4);
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(T));
  return bits;
}

TEST(EmulatedBlock, ShowsAMissingBarrier) {
  const auto neighbours = [](ThreadOrder order, bool with_barrier) {
    std::vector<int> out(64);
    emulate(1, 64, order, [&](EmulatedBlock& block) {
      auto* shared = block.shared<int>(64);
      shared[block.thread()] = block.thread();
      if (with_barrier) block.sync();
      out[static_cast<std::size_t>(block.thread())] = shared[(block.thread() + 1) % 64];
    });
    return out;
  };
  EXPECT_EQ(neighbours(ThreadOrder::forward, true), neighbours(ThreadOrder::backward, true));
  EXPECT_NE(neighbours(ThreadOrder::forward, false), neighbours(ThreadOrder::backward, false));
}

TEST(EmulatedBlock, RefusesABarrierThatSomeThreadsNeverReach) {
  EXPECT_THROW(emulate(1, 64, ThreadOrder::forward,
                       [](EmulatedBlock& block) {
                         if (block.thread() < 32)
                           block.sync();
                         else if (block.thread() < 40)
                           (void)block.ballot(true);
                       }),
               std::logic_error);
}

TEST(EmulatedBlock, ShufflesAndBallotsWithinAWarp) {
  std::vector<int> turned(64), up(64);
  std::vector<std::uint32_t> odd(64);
  emulate(1, 64, ThreadOrder::shuffled, [&](EmulatedBlock& block) {
    const auto i = static_cast<std::size_t>(block.thread());
    turned[i] = block.shuffle_xor(block.thread(), 5);
    up[i] = block.shuffle_up(block.thread(), 3);
    odd[i] = block.ballot(block.thread() % 2 == 1);
  });
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(turned[static_cast<std::size_t>(i)], i ^ 5);
    EXPECT_EQ(up[static_cast<std::size_t>(i)], i % 32 < 3 ? i : i - 3);
    EXPECT_EQ(odd[static_cast<std::size_t>(i)], 0xAAAAAAAAU);
  }
}

/// Parameters: n, rows.
class RowKernels : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  const int n = std::get<0>(GetParam()), rows = std::get<1>(GetParam());
  const std::size_t size = static_cast<std::size_t>(n) * static_cast<std::size_t>(rows);
};

TEST_P(RowKernels, Embed) {
  const auto embedding = random_bf16(static_cast<std::size_t>(7 * n), 1),
             learned = random_bf16(static_cast<std::size_t>(9 * n), 2);
  std::vector<int> tokens, positions;
  for (int r = 0; r < rows; ++r) tokens.push_back(r % 7), positions.push_back(r % 10 - 1);
  for (const bool with_positions : {false, true}) {
    const float scale = with_positions ? 1.0F : 5.5F;
    std::vector<float> out(size, -7.0F);
    emulate(rows, 64, ThreadOrder::forward, [&](EmulatedBlock& block) {
      embed(block, EmbedTask{tokens.data(), positions.data(), embedding.data(),
                             with_positions ? learned.data() : nullptr, n, out.data(), scale});
    });
    for (std::size_t i = 0; i < size; ++i) {
      const auto r = i / static_cast<std::size_t>(n), d = i % static_cast<std::size_t>(n);
      float expected =
          positions[r] < 0 ? 0.0F : scale * embedding[static_cast<std::size_t>(tokens[r] * n) + d].to_float();
      if (with_positions && positions[r] >= 0)
        expected += learned[static_cast<std::size_t>(positions[r] * n) + d].to_float();
      ASSERT_EQ(out[i], expected);
    }
  }
}

TEST_P(RowKernels, NormsOfBothKinds) {
  auto x = random_floats(size, 3, 2.0F);
  const auto weight = random_floats(static_cast<std::size_t>(n), 4),
             bias = random_floats(static_cast<std::size_t>(n), 5);
  std::vector<int> wanted;
  for (int r = rows - 1; r >= 0; r -= 2) wanted.push_back(r);
  for (const bool layer : {false, true}) {
    std::vector<std::vector<std::uint32_t>> results;
    for (const ThreadOrder order : orders) {
      std::vector<Bf16> out(wanted.size() * static_cast<std::size_t>(n));
      emulate(static_cast<int>(wanted.size()), 128, order, [&](EmulatedBlock& block) {
        normalize(
            block,
            NormTask{x.data(), {}, wanted.data(), weight.data(), layer ? bias.data() : nullptr, n, 1e-5F, out.data()});
      });
      results.push_back(bits_of(out));
      for (std::size_t w = 0; w < wanted.size(); ++w) {
        const float* row = x.data() + wanted[w] * n;
        double mean = 0.0, squares = 0.0;
        for (int i = 0; i < n; ++i) mean += layer ? row[i] / static_cast<double>(n) : 0.0;
        for (int i = 0; i < n; ++i) squares += (row[i] - mean) * (row[i] - mean) / n;
        for (int i = 0; i < n; ++i) {
          const auto at = static_cast<std::size_t>(i);
          expect_near(out[w * static_cast<std::size_t>(n) + at],
                      (row[i] - mean) / std::sqrt(squares + 1e-5) * weight[at] + (layer ? bias[at] : 0.0));
        }
      }
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

/// Sums in parts are added in their order before; they stay only where every row is normalized.
TEST_P(RowKernels, NormsAddWhatProductsHaveInParts) {
  const auto width = static_cast<std::size_t>(n);
  const auto before = random_floats(size, 3, 2.0F), weight = random_floats(width, 4),
             parts = random_floats(3 * size, 5), bias = random_floats(width, 6), more = random_floats(width, 7);
  auto expected = before;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t p = 0; p < 3; ++p) expected[i] += parts[p * size + i];
    expected[i] += bias[i % width];
    expected[i] += more[i % width];
  }
  const PartialSums sums{parts.data(), 3, static_cast<std::int64_t>(size), {bias.data(), more.data()}};
  const std::vector<int> all = [&] {
    std::vector<int> numbers(static_cast<std::size_t>(rows));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
  }();
  for (const ThreadOrder order : orders)
    for (const bool chosen : {false, true}) {
      auto x = before;
      std::vector<Bf16> out(size), plain(size);
      emulate(rows, 96, order, [&](EmulatedBlock& block) {
        normalize(block, NormTask{x.data(), sums, chosen ? all.data() : nullptr, weight.data(), nullptr, n, 1e-5F,
                                  out.data()});
      });
      EXPECT_EQ(x, chosen ? before : expected);
      emulate(rows, 96, order, [&](EmulatedBlock& block) {
        normalize(block, NormTask{expected.data(), {}, nullptr, weight.data(), nullptr, n, 1e-5F, plain.data()});
      });
      EXPECT_EQ(bits_of(out), bits_of(plain));
    }
}

double exact(Activation activation, double x) {
  if (activation == Activation::gated_silu) return x / (1.0 + std::exp(-x));
  if (activation == Activation::gelu) return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

TEST_P(RowKernels, ActivationsOfAllKinds) {
  const auto up = random_bf16(2 * size, 6, 3.0F);
  for (const Activation activation :
       {Activation::gated_silu, Activation::gated_gelu_tanh, Activation::gelu, Activation::gelu_tanh}) {
    const bool gated = is_gated(activation);
    std::vector<Bf16> out(size);
    emulate(rows, 64, ThreadOrder::backward, [&](EmulatedBlock& block) {
      activate(block, ActivationTask{up.data(), activation, n, out.data()});
    });
    for (std::size_t i = 0; i < size; ++i) {
      const auto r = i / static_cast<std::size_t>(n), d = i % static_cast<std::size_t>(n);
      const double x = up[gated ? r * 2 * static_cast<std::size_t>(n) + d : i].to_float();
      const double factor = gated ? up[(2 * r + 1) * static_cast<std::size_t>(n) + d].to_float() : 1.0;
      expect_near(out[i], exact(activation, x) * factor);
    }
  }
}

/// What makes an operand and puts it in 8 bits in one go gives what both give one after the other.
TEST_P(RowKernels, OperandsInEightBitsAtOnce) {
  auto x = random_floats(size, 3, 2.0F);
  const auto weight = random_floats(static_cast<std::size_t>(n), 4);
  const auto up = random_bf16(size, 6, 3.0F);
  std::vector<Bf16> out(size);
  std::vector<std::int8_t> found(size), expected(size);
  std::vector<float> found_scales(static_cast<std::size_t>(rows)), expected_scales = found_scales;
  const QuantizeTask then{out.data(), n, found.data(), found_scales.data()};
  const auto expect_the_same = [&] {
    emulate(rows, 64, ThreadOrder::forward, [&](EmulatedBlock& block) {
      quantize(block, QuantizeTask{out.data(), n, expected.data(), expected_scales.data()});
    });
    EXPECT_EQ(found, expected);
    EXPECT_EQ(found_scales, expected_scales);
    EXPECT_NE(found, std::vector<std::int8_t>(size));
  };
  for (const ThreadOrder order : orders) {
    emulate(rows, 64, order, [&](EmulatedBlock& block) {
      normalize(block, NormTask{x.data(), {}, nullptr, weight.data(), nullptr, n, 1e-5F, out.data(), then});
    });
    expect_the_same();
    emulate(rows, 64, order, [&](EmulatedBlock& block) {
      activate(block, ActivationTask{up.data(), Activation::gelu_tanh, n, out.data(), then});
    });
    expect_the_same();
  }
}

TEST_P(RowKernels, EightBitOperandsAndTheirSums) {
  auto x = random_bf16(size, 7);
  if (rows > 1) std::fill_n(x.begin(), n, Bf16{});  // a row of zeros
  std::vector<std::int8_t> q(size);
  std::vector<float> scales(static_cast<std::size_t>(rows));
  emulate(rows, 64, ThreadOrder::shuffled, [&](EmulatedBlock& block) {
    quantize(block, QuantizeTask{x.data(), n, q.data(), scales.data()});
  });
  for (std::size_t i = 0; i < size; ++i)
    ASSERT_NEAR(q[i] * scales[i / static_cast<std::size_t>(n)], x[i].to_float(),
                0.51F * scales[i / static_cast<std::size_t>(n)]);

  std::vector<std::int32_t> sums;
  for (std::size_t i = 0; i < size; ++i) sums.push_back(static_cast<int>(i * 7919 % 20011) - 10000);
  const auto columns = random_floats(static_cast<std::size_t>(n), 8),
             bias = random_floats(static_cast<std::size_t>(n), 9);
  const auto before = random_floats(size, 10);
  auto residual = before;
  std::vector<Bf16> out(size);
  std::vector<float> logits(size);
  const auto run = [&](float* add_to, Bf16* rounded_out, float* plain) {
    emulate(rows, 64, ThreadOrder::forward, [&](EmulatedBlock& block) {
      scale_sums(block,
                 ScaleTask{sums.data(), scales.data(), columns.data(), bias.data(), n, add_to, rounded_out, plain});
    });
  };
  run(residual.data(), nullptr, nullptr);
  run(nullptr, out.data(), nullptr);
  run(nullptr, nullptr, logits.data());
  for (std::size_t i = 0; i < size; ++i) {
    const auto r = i / static_cast<std::size_t>(n), d = i % static_cast<std::size_t>(n);
    const double expected = static_cast<double>(sums[i]) * columns[d] * scales[r] + bias[d];
    EXPECT_NEAR(logits[i], expected, 1e-5 * (1.0 + std::abs(expected)));
    EXPECT_NEAR(residual[i], expected + before[i], 1e-5 * (1.0 + std::abs(expected)));
    expect_near(out[i], logits[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RowKernels,
                         testing::Combine(testing::Values(16, 48, 1040), testing::Values(1, 3, 12)));

TEST(RowKernels, NoRowsAreNoBlocks) {
  emulate(0, 64, ThreadOrder::forward, [](EmulatedBlock&) { FAIL(); });
}

TEST(CopyBlock, CopiesAll) {
  const auto from = random_floats(400, 11);
  std::vector<float> to(400);
  const std::byte* source[] = {reinterpret_cast<const std::byte*>(from.data()),
                               reinterpret_cast<const std::byte*>(from.data() + 200)};
  std::byte* target[] = {reinterpret_cast<std::byte*>(to.data() + 200), reinterpret_cast<std::byte*>(to.data())};

  emulate(2, 32, ThreadOrder::forward, [&](EmulatedBlock& block) { copy_block(block, CopyTask{source, target, 800}); });

  EXPECT_TRUE(std::equal(from.begin(), from.begin() + 200, to.begin() + 200));
  EXPECT_TRUE(std::equal(from.begin() + 200, from.end(), to.begin()));
}

TEST(KeyValueLayout, GivesEveryElementAPlaceOfItsOwn) {
  for (const int head_dim : {16, 80, 128}) {
    std::vector<int> keys(static_cast<std::size_t>(16 * head_dim)), values = keys;
    for (int p = 0; p < 16; ++p)
      for (int d = 0; d < head_dim; ++d) {
        ++keys[static_cast<std::size_t>(key_offset(p, d))];
        ++values[static_cast<std::size_t>(value_offset(p, d))];
      }
    EXPECT_TRUE(std::all_of(keys.begin(), keys.end(), [](int n) { return n == 1; }));
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](int n) { return n == 1; }));
  }
}

TEST(MatrixProductOfAWarp, IsTheProduct) {
  const auto a = random_bf16(256, 12), b = random_bf16(128, 13);  // [16, 16], [16, 8]
  std::vector<float> c(128);
  emulate(1, 32, ThreadOrder::shuffled, [&](EmulatedBlock& block) {
    const int lane = block.thread();
    const auto pair = [&](int m, int k) {
      return a[static_cast<std::size_t>(m * 16 + k)].bits |
             static_cast<std::uint32_t>(a[static_cast<std::size_t>(m * 16 + k + 1)].bits) << 16U;
    };
    const auto column = [&](int k, int n) {
      return b[static_cast<std::size_t>(k * 8 + n)].bits |
             static_cast<std::uint32_t>(b[static_cast<std::size_t>((k + 1) * 8 + n)].bits) << 16U;
    };
    const int m = lane / 4, k = lane % 4 * 2;
    const std::uint32_t mine[4] = {pair(m, k), pair(m + 8, k), pair(m, k + 8), pair(m + 8, k + 8)};
    float out[4] = {};
    block.mma(out, mine, column(k, m), column(k + 8, m));
    for (int i = 0; i < 4; ++i) c[static_cast<std::size_t>((m + i / 2 * 8) * 8 + k + i % 2)] = out[i];
  });
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n) {
      double expected = 0.0;
      for (int k = 0; k < 16; ++k)
        expected += static_cast<double>(a[static_cast<std::size_t>(m * 16 + k)].to_float()) *
                    b[static_cast<std::size_t>(k * 8 + n)].to_float();
      EXPECT_NEAR(c[static_cast<std::size_t>(m * 8 + n)], expected, 1e-5);
    }
}

/// A model's attention: rows of some sequences, their keys and values in blocks, placed and read by the kernels.
struct AttentionCase {
  int heads, kv_heads, head_dim, half, sight;
  bool norms;
  std::vector<int> positions;  ///< of the rows; each is a sequence of its own beyond `shared`
  int shared;                  ///< positions that all have in common
};

std::ostream& operator<<(std::ostream& out, const AttentionCase& c) {
  return out << c.heads << " heads of " << c.head_dim << ", " << c.kv_heads << " kv, sight " << c.sight << ", "
             << c.positions.size() << " rows, shared " << c.shared;
}

class Attention : public testing::TestWithParam<AttentionCase> {
 protected:
  static constexpr int layers = 2, layer = 1;
  const AttentionCase c = GetParam();
  const int group = c.heads / c.kv_heads;
  const int row_size = (c.heads + 2 * c.kv_heads) * c.head_dim;
  const float epsilon = 1e-6F;
  const std::int64_t layer_offset = layer * c.kv_heads * head_elements(c.head_dim);
  std::vector<float> query_norm = random_floats(static_cast<std::size_t>(c.head_dim), 20),
                     key_norm = random_floats(static_cast<std::size_t>(c.head_dim), 21);
  std::vector<double> frequencies;
  std::vector<std::vector<BlockId>> tables;
  std::vector<std::vector<Bf16>> blocks;
  /// Rows of the checked pass as the product leaves them.
  std::vector<Bf16> qkv;

  void SetUp() override {
    for (int i = 0; i < c.half; ++i) frequencies.push_back(std::pow(100.0, -i / static_cast<double>(c.half)));
    std::uint32_t next = 0;
    std::vector<BlockId> common;
    for (int b = 0; b < c.shared / 16; ++b) common.emplace_back(next++);
    for (const int position : c.positions) {
      tables.push_back(common);
      while (static_cast<int>(tables.back().size()) <= position / 16) tables.back().emplace_back(next++);
    }
    blocks.assign(next, std::vector<Bf16>(static_cast<std::size_t>(layers * c.kv_heads * head_elements(c.head_dim)),
                                          Bf16::from_float(1000.0F)));
    qkv = random_bf16(c.positions.size() * static_cast<std::size_t>(row_size), 22);
  }

  /// What the product gives for a position before the row's own; the same for all rows where they share.
  std::vector<Bf16> past(std::size_t row, int position) const {
    const std::uint64_t seed = position < c.shared / 16 * 16 ? 5 : 1000 + row;
    return random_bf16(static_cast<std::size_t>(row_size), seed * 100'000 + static_cast<std::uint64_t>(position));
  }

  /// Runs the kernels that put a pass's keys and values into blocks. @return its turned queries
  std::vector<Bf16> place(std::vector<Bf16> rows, const std::vector<int>& positions,
                          const std::vector<std::vector<BlockId>>& of, ThreadOrder order) {
    const int count = static_cast<int>(positions.size());
    std::vector<float> cosines(positions.size() * frequencies.size()), sines = cosines;
    std::vector<std::byte*> addresses;
    std::vector<int> begin;
    for (const auto& table : of) {
      begin.push_back(static_cast<int>(addresses.size()));
      for (const BlockId id : table) addresses.push_back(reinterpret_cast<std::byte*>(blocks[id.value()].data()));
    }
    emulate(count, 32, order, [&](EmulatedBlock& block) {
      find_rotations(block,
                     RotationTask{positions.data(), frequencies.data(), c.half, 1.25, cosines.data(), sines.data()});
    });
    emulate(count, 64, order, [&](EmulatedBlock& block) {
      place_token(block, PlaceTask{rows.data(), positions.data(), cosines.data(), sines.data(), c.half,
                                   c.norms ? query_norm.data() : nullptr, c.norms ? key_norm.data() : nullptr, epsilon,
                                   c.heads, c.kv_heads, c.head_dim, addresses.data(), begin.data(), layer_offset});
    });
    return rows;
  }

  std::vector<double> turned(const Bf16* head, const std::vector<float>& norm, int position) const {
    std::vector<double> x(static_cast<std::size_t>(c.head_dim));
    double squares = 0.0;
    for (std::size_t d = 0; d < x.size(); ++d) x[d] = head[d].to_float(), squares += x[d] * x[d];
    if (c.norms)
      for (std::size_t d = 0; d < x.size(); ++d) x[d] = x[d] / std::sqrt(squares / c.head_dim + epsilon) * norm[d];
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
      const double a = x[i], b = x[i + frequencies.size()], angle = position * frequencies[i];
      x[i] = 1.25 * (a * std::cos(angle) - b * std::sin(angle));
      x[i + frequencies.size()] = 1.25 * (b * std::cos(angle) + a * std::sin(angle));
    }
    for (double& value : x) value = Bf16::from_float(static_cast<float>(value)).to_float();
    return x;
  }

  std::vector<double> expected(std::size_t row, int head) const {
    const int kv = head / group, end = c.positions[row] + 1, first = std::max(0, end - c.sight);
    const auto q =
        turned(qkv.data() + row * static_cast<std::size_t>(row_size) + head * c.head_dim, query_norm, end - 1);
    std::vector<double> scores, out(static_cast<std::size_t>(c.head_dim));
    std::vector<std::vector<Bf16>> rows;
    for (int p = first; p < end; ++p) {
      rows.push_back(p + 1 == end ? std::vector<Bf16>(qkv.begin() + static_cast<std::ptrdiff_t>(row) * row_size,
                                                      qkv.begin() + static_cast<std::ptrdiff_t>(row + 1) * row_size)
                                  : past(row, p));
      const auto k = turned(rows.back().data() + (c.heads + kv) * c.head_dim, key_norm, p);
      double dot = 0.0;
      for (std::size_t d = 0; d < q.size(); ++d) dot += q[d] * k[d];
      scores.push_back(dot / std::sqrt(static_cast<double>(c.head_dim)));
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    double sum = 0.0;
    for (double& s : scores) sum += s = std::exp(s - top);
    for (std::size_t i = 0; i < scores.size(); ++i)
      for (std::size_t d = 0; d < out.size(); ++d)
        out[d] += scores[i] / sum *
                  rows[i][static_cast<std::size_t>((c.heads + c.kv_heads + kv) * c.head_dim) + d].to_float();
    return out;
  }

  void fill_past() {
    std::vector<bool> done(blocks.size() * 16);
    for (std::size_t r = 0; r < c.positions.size(); ++r)
      for (int p = 0; p < c.positions[r]; ++p) {
        const std::size_t slot =
            tables[r][static_cast<std::size_t>(p / 16)].value() * 16 + static_cast<std::size_t>(p % 16);
        if (done[slot]) continue;
        done[slot] = true;
        const auto row = past(r, p);
        const std::vector<Bf16> key(row.begin() + c.heads * c.head_dim, row.end());
        Bf16* kept = blocks[slot / 16].data() + layer_offset;
        for (int h = 0; h < c.kv_heads; ++h) {
          const auto k = turned(key.data() + h * c.head_dim, key_norm, p);
          for (int d = 0; d < c.head_dim; ++d) {
            kept[h * head_elements(c.head_dim) + key_offset(p % 16, d)] =
                Bf16::from_float(static_cast<float>(k[static_cast<std::size_t>(d)]));
            kept[h * head_elements(c.head_dim) + 16 * c.head_dim + value_offset(p % 16, d)] =
                key[static_cast<std::size_t>((c.kv_heads + h) * c.head_dim + d)];
          }
        }
      }
  }

  /// The attention of some of the rows, by the kernels.
  std::vector<Bf16> attention(const std::vector<Bf16>& queries, const std::vector<std::size_t>& which,
                              ThreadOrder order) {
    std::vector<TokenRow> rows;
    std::vector<int> positions;
    std::vector<Bf16> q;
    for (const std::size_t r : which) {
      rows.push_back({TokenId{0}, c.positions[r], tables[r]});
      positions.push_back(c.positions[r]);
      q.insert(q.end(), queries.begin() + static_cast<std::ptrdiff_t>(r) * row_size,
               queries.begin() + static_cast<std::ptrdiff_t>(r + 1) * row_size);
    }
    positions.push_back(-1);  // a row of padding
    AttentionPlanner planner({c.sight}, group);
    const AttentionPlan plan = planner.plan(rows, blocks.size());
    std::vector<std::byte*> addresses;
    for (const BlockId id : plan.tables) addresses.push_back(reinterpret_cast<std::byte*>(blocks[id.value()].data()));
    const auto slots = static_cast<std::size_t>(plan.slot_count * c.heads);
    std::vector<float> tops(slots, NAN), sums(slots, NAN), outs(slots * static_cast<std::size_t>(c.head_dim), NAN);
    const int count = static_cast<int>(plan.by_sight[0].items.size());
    auto slot_begin = plan.slots;
    slot_begin.push_back(0);
    const float scale = log2_e / std::sqrt(static_cast<float>(c.head_dim));
    const AttentionTask task{q.data(),
                             positions.data(),
                             addresses.data(),
                             plan.by_sight[0].items.data(),
                             &count,
                             plan.by_sight[0].rows.data(),
                             slot_begin.data(),
                             layer_offset,
                             c.heads,
                             c.kv_heads,
                             c.head_dim,
                             c.sight,
                             scale,
                             tops.data(),
                             sums.data(),
                             outs.data()};
    emulate(2, 32 * attention_warps, order, [&](EmulatedBlock& block) {
      if (c.head_dim <= 64)
        attend<4>(block, task);
      else
        attend<8>(block, task);
    });
    std::vector<Bf16> out(positions.size() * static_cast<std::size_t>(c.heads * c.head_dim));
    emulate(static_cast<int>(positions.size()), 64, order, [&](EmulatedBlock& block) {
      merge_windows(block, MergeTask{positions.data(), slot_begin.data(), c.heads, c.head_dim, c.sight, scale,
                                     tops.data(), sums.data(), outs.data(), out.data()});
    });
    return out;
  }
};

TEST_P(Attention, IsTheOneOfTheReference) {
  fill_past();
  const auto queries = place(qkv, c.positions, tables, ThreadOrder::shuffled);
  std::vector<std::size_t> all;
  for (std::size_t r = 0; r < c.positions.size(); ++r) all.push_back(r);

  const auto out = attention(queries, all, ThreadOrder::forward);

  const std::size_t width = static_cast<std::size_t>(c.heads * c.head_dim);
  for (const std::size_t r : all)
    for (int h = 0; h < c.heads; ++h) {
      const auto wanted = expected(r, h);
      double largest = 0.0;
      for (const double x : wanted) largest = std::max(largest, std::abs(x));
      for (int d = 0; d < c.head_dim; ++d)
        ASSERT_NEAR(out[r * width + static_cast<std::size_t>(h * c.head_dim + d)].to_float(),
                    wanted[static_cast<std::size_t>(d)], largest * 0.01)
            << "row " << r << ", head " << h << ", dimension " << d;
    }
  for (std::size_t i = all.size() * width; i < out.size(); ++i) ASSERT_EQ(out[i].bits, 0);  // padding
}

TEST_P(Attention, ARowHasTheSameBitsWhoeverSharesItsBlocksAndInWhateverOrderThreadsRun) {
  fill_past();
  const auto queries = place(qkv, c.positions, tables, ThreadOrder::backward);
  std::vector<std::size_t> all;
  for (std::size_t r = 0; r < c.positions.size(); ++r) all.push_back(r);
  const auto together = attention(queries, all, ThreadOrder::backward);
  const std::size_t width = static_cast<std::size_t>(c.heads * c.head_dim);
  for (const std::size_t r : {std::size_t{0}, all.size() / 2, all.size() - 1}) {
    const auto alone = attention(queries, {r}, ThreadOrder::shuffled);
    for (std::size_t i = 0; i < width; ++i) ASSERT_EQ(alone[i].bits, together[r * width + i].bits) << "row " << r;
  }
}

constexpr int everything = 1'000'000;
INSTANTIATE_TEST_SUITE_P(
    Shapes, Attention,
    testing::Values(AttentionCase{1, 1, 16, 8, everything, false, {0}, 0},              // one token
                    AttentionCase{4, 2, 16, 8, everything, true, {15, 16, 17, 31}, 0},  // edges of blocks
                    AttentionCase{7, 1, 64, 32, everything, false, {40, 41, 45}, 32},   // odd group, a partial tile
                    AttentionCase{
                        2, 2, 64, 32, everything, false, {63, 64, 65, 127, 128, 300}, 48},  // edges of windows
                    AttentionCase{1, 1, 16, 8, everything, false, {2100, 2047}, 2032},      // many of them
                    AttentionCase{4, 1, 80, 16, everything, false, {70, 90}, 64},           // partly turned
                    AttentionCase{2, 1, 128, 64, everything, true, {100}, 0},               //
                    AttentionCase{2, 1, 32, 16, 20, false, {3, 19, 20, 21, 100}, 0},        // sliding windows
                    AttentionCase{2, 1, 32, 16, 300, false, {299, 300, 560, 700}, 288},     // over several
                    AttentionCase{8,
                                  1,
                                  16,
                                  0,
                                  everything,
                                  false,
                                  {64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81},
                                  64},                                           // more than an item takes
                    AttentionCase{1, 1, 16, 8, everything, false, {4095}, 0}));  // long

}  // namespace
}  // namespace shoal::lm::cuda
