// Every instruction set's kernels: the same bits as the baseline's, and close to plain formulas in double precision.
#include "lm/cpu/kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "lm/cpu/attention_plan.hpp"
#include "lm/cpu/kernels_by_isa.hpp"
#include "lm/cpu/matmul.hpp"

namespace shoal::lm::cpu {
namespace {

template <class T>
struct Named {
  std::string name;
  const Kernels<T>* kernels;
};

template <class T>
std::vector<Named<T>> tables();
template <>
std::vector<Named<float>> tables() {
  std::vector<Named<float>> all = {{"baseline", &baseline_kernels_f32()}};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back({"AVX2", &avx2_kernels_f32()});
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    all.push_back({"AVX-512", &avx512_kernels_f32()});
#endif
  return all;
}
template <>
std::vector<Named<Bf16>> tables() {
  std::vector<Named<Bf16>> all = {{"baseline", &baseline_kernels_bf16()}};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back({"AVX2", &avx2_kernels_bf16()});
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    all.push_back({"AVX-512", &avx512_kernels_bf16()});
  if (has_fast_bf16()) all.push_back({"AVX-512 BF16", &avx512_bf16_kernels_bf16()});
#endif
  return all;
}

double to_double(float x) { return x; }
double to_double(Bf16 x) { return x.to_float(); }
void assign(double value, float* to) { *to = static_cast<float>(value); }
void assign(double value, Bf16* to) { *to = Bf16::from_float(static_cast<float>(value)); }

std::vector<float> normal(std::size_t count, std::uint64_t seed, float scale = 1.0F) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> one(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = one(generator);
  return values;
}

template <class T>
class KernelsTest : public testing::Test {
 protected:
  static constexpr double rounding = operand_type<T> == OperandType::bf16 ? 0x1p-8 : 1e-6;

  /// Runs @p compute(kernels, out) for every table; @return what all of them give.
  template <class Compute>
  std::vector<double> same_for_all(std::size_t n, const Compute& compute) {
    std::vector<T> first;
    for (const auto& [name, kernels] : tables<T>()) {
      std::vector<T> out(n);
      compute(*kernels, out.data());
      if (first.empty()) first = out;
      EXPECT_EQ(std::memcmp(out.data(), first.data(), n * sizeof(T)), 0) << name;
    }
    std::vector<double> values;
    for (const T x : first) values.push_back(to_double(x));
    return values;
  }
  static void expect_close(const std::vector<double>& found, const std::vector<double>& expected, double tolerance) {
    double largest = 0.0;
    for (const double x : expected) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(found[i], expected[i], tolerance * std::max(largest, 1e-30)) << "at " << i;
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
      this->expect_close(found, expected, this->rounding);
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
      this->expect_close(found, expected, this->rounding + offset * 1e-7);
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
    this->expect_close(found, expected, this->rounding);
  }
}

TYPED_TEST(KernelsTest, ExactGeluFollowsItsFormula) {
  for (const float scale : {0.01F, 1.0F, 3.0F, 1e4F}) {
    const auto x = normal(656, 3, scale);

    const auto found =
        this->same_for_all(656, [&](const auto& kernels, TypeParam* out) { kernels.gelu(x.data(), 656, out); });

    std::vector<double> expected;
    for (const double v : x) expected.push_back(0.5 * v * std::erfc(-v / std::sqrt(2.0)));
    this->expect_close(found, expected, this->rounding);
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
    this->expect_close(found, expected, this->rounding);
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
    this->expect_close(found, expected, this->rounding);
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

/// One head's keys and values in blocks of 16 positions, with NaN wherever nothing was written.
template <class T>
struct Head {
  Head(int positions, int head_dim_, float key_scale)
      : head_dim(head_dim_),
        count(positions),
        keys(normal(static_cast<std::size_t>(positions * head_dim_), 7, key_scale)),
        values(normal(static_cast<std::size_t>(positions * head_dim_), 8)) {
    const std::size_t offset = 32;
    for (int begin = 0; begin < positions; begin += block_positions) {
      storage.emplace_back(offset + static_cast<std::size_t>(2 * block_positions * head_dim));
      for (T& x : storage.back()) assign(std::nan(""), &x);
    }
    for (int p = 0; p < positions; ++p) {
      T* head = storage[static_cast<std::size_t>(p / block_positions)].data() + offset;
      const auto row = static_cast<std::ptrdiff_t>(p) * head_dim;
      kernels<T>().store_key(keys.data() + row, head_dim, p % block_positions, head);
      kernels<T>().store_value(values.data() + row, head_dim, p % block_positions, head + block_positions * head_dim);
    }
    for (const auto& block : storage) blocks.push_back(reinterpret_cast<const std::byte*>(block.data()));
  }
  [[nodiscard]] double key(int p, int d) const { return rounded(keys[static_cast<std::size_t>(p * head_dim + d)]); }
  [[nodiscard]] double value(int p, int d) const { return rounded(values[static_cast<std::size_t>(p * head_dim + d)]); }
  static double rounded(float x) {
    T to;
    assign(x, &to);
    return to_double(to);
  }
  [[nodiscard]] AttentionPlan plan() const {
    const AttentionQuery query{blocks.data(), first, count};
    return {std::span(&query, 1), 1, static_cast<std::size_t>(head_dim) * sizeof(T)};
  }
  [[nodiscard]] AttentionTask<T> task(const AttentionPlan& plan, const std::vector<float>& query, T* out) const {
    const float scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
    return {&plan.groups().front(), {query.data()}, {out}, 32, head_dim, scale, cap};
  }
  void attend(const Kernels<T>& kernels, const std::vector<float>& query, T* out) const {
    const AttentionPlan alone = plan();
    kernels.attend(task(alone, query, out), nullptr);
  }
  [[nodiscard]] std::vector<double> attend(const std::vector<float>& query) const {
    std::vector<double> scores;
    double top = -std::numeric_limits<double>::infinity(), total = 0.0;
    for (int p = first; p < count; ++p) {
      double dot = 0.0;
      for (int d = 0; d < head_dim; ++d) dot += query[static_cast<std::size_t>(d)] * key(p, d);
      scores.push_back(dot / std::sqrt(static_cast<double>(head_dim)));
      if (cap > 0.0F) scores.back() = cap * std::tanh(scores.back() / cap);
      top = std::max(top, scores.back());
    }
    std::vector<double> sums(static_cast<std::size_t>(head_dim));
    for (int p = first; p < count; ++p) {
      const double weight = std::exp(scores[static_cast<std::size_t>(p - first)] - top);
      total += weight;
      for (int d = 0; d < head_dim; ++d) sums[static_cast<std::size_t>(d)] += weight * value(p, d);
    }
    for (double& x : sums) x /= total;
    return sums;
  }

  int head_dim;
  int count;
  int first = 0;     ///< position that is seen
  float cap = 0.0F;  ///< of scores
  std::vector<float> keys, values;
  std::vector<std::vector<T>> storage;
  std::vector<const std::byte*> blocks;
};

TYPED_TEST(KernelsTest, StoredValuesAreRoundedToNearestAndKeepNan) {
  std::vector<float> x = normal(240, 6);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float special :
       {0.0F, -0.0F, infinity, -infinity, 0x1.01p0F, 0x1.03p0F, 0x1.010002p0F, 3.4028235e38F, 1e-40F, 0x1p-149F,
        std::nanf(""), -std::nanf(""), std::nanf("0x3FFFFF"), 1.0F, 2.0F, 3.0F})
    x.push_back(special);

  for (const int slot : {0, 1, 15}) {
    const auto block = this->same_for_all(block_positions * x.size(), [&](const auto& kernels, TypeParam* out) {
      kernels.store_value(x.data(), static_cast<int>(x.size()), slot, out);
    });

    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool pairs = operand_type<TypeParam> == OperandType::bf16;
      const auto s = static_cast<std::size_t>(slot);
      const double found = block[pairs ? (s / 2 * x.size() + i) * 2 + s % 2 : s * x.size() + i];
      if (std::isnan(x[i]))
        EXPECT_TRUE(std::isnan(found));
      else
        EXPECT_EQ(found, Head<TypeParam>::rounded(x[i]));
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

TYPED_TEST(KernelsTest, AttentionCapsWhatItSees) {
  for (const int positions : {1, 17, 513, 1100})
    for (const int first : {0, 5, 600}) {
      if (first >= positions) continue;
      Head<TypeParam> head(positions, 32, 1.0F);
      head.first = first;
      head.cap = 0.5F;  // most scores are larger
      const auto query = normal(32, 9);

      const auto found =
          this->same_for_all(32, [&](const auto& kernels, TypeParam* out) { head.attend(kernels, query, out); });

      this->expect_close(found, head.attend(query), 4 * this->rounding);
      auto uncapped = head;
      uncapped.cap = 0.0F;
      if (positions > first + 1) {
        EXPECT_NE(uncapped.attend(query), head.attend(query));
      }
    }
}

TYPED_TEST(KernelsTest, AttentionFollowsItsFormula) {
  for (const int head_dim : {16, 32, 48, 64, 80, 128, 256})
    for (const int positions : {1, 2, 15, 16, 17, 300, 511, 512, 513, 1100}) {
      const Head<TypeParam> head(positions, head_dim, 1.0F);
      const auto query = normal(static_cast<std::size_t>(head_dim), 9);

      const auto found =
          this->same_for_all(static_cast<std::size_t>(head_dim),
                             [&](const auto& kernels, TypeParam* out) { head.attend(kernels, query, out); });

      this->expect_close(found, head.attend(query), 4 * this->rounding);
    }
}

TYPED_TEST(KernelsTest, AttentionSeesOnlyItsWindow) {
  for (const int positions : {17, 300, 600, 1100})
    for (const int window : {1, 2, 15, 16, 17, 40, 530}) {
      Head<TypeParam> head(positions, 32, 1.0F);
      head.first = std::max(0, positions - window);
      const auto query = normal(32, 9);

      const auto found =
          this->same_for_all(32, [&](const auto& kernels, TypeParam* out) { head.attend(kernels, query, out); });

      this->expect_close(found, head.attend(query), 4 * this->rounding);
    }
}

TYPED_TEST(KernelsTest, BlocksBeforeTheWindowAreNotRead) {
  Head<TypeParam> head(100, 32, 1.0F);
  head.first = 50;
  for (std::size_t block = 0; block < 3; ++block) head.blocks[block] = nullptr;
  const auto query = normal(32, 9);

  const auto found =
      this->same_for_all(32, [&](const auto& kernels, TypeParam* out) { head.attend(kernels, query, out); });

  this->expect_close(found, head.attend(query), 4 * this->rounding);
}

TYPED_TEST(KernelsTest, FetchingTheNextRowChangesNothing) {
  for (const int positions : {1, 40, 600}) {
    const Head<TypeParam> head(positions, 64, 1.0F), other(positions, 64, 1.0F);
    const auto query = normal(64, 9);
    const AttentionPlan plan = head.plan(), next_plan = other.plan();

    const auto found = this->same_for_all(64, [&](const auto& kernels, TypeParam* out) {
      const AttentionTask<TypeParam> next = other.task(next_plan, query, nullptr);
      kernels.attend(head.task(plan, query, out), &next);
    });

    EXPECT_EQ(found,
              this->same_for_all(64, [&](const auto& kernels, TypeParam* out) { head.attend(kernels, query, out); }));
  }
}

/// Sequences that grew from one another: each has the blocks of an earlier one up to some position, then its own.
template <class T>
class Family {
 public:
  /// @param sight positions that a query sees at the most
  Family(std::uint64_t seed, int members, int heads, int head_dim, int sight)
      : generator_(seed), head_dim_(head_dim), query_values_(normal(std::size_t(members * heads * head_dim), seed)) {
    for (int m = 0; m < members; ++m) {
      const int positions = m % 3 == 1 ? positions_.back() + below(2) : 1 + below(below(4) == 0 ? 1200 : 90);
      grow(positions);
      positions_.push_back(positions);
    }
    for (int m = 0; m < members; ++m)
      for (int h = 0; h < heads; ++h)
        queries_.push_back({tables_[std::size_t(m)].data(), std::max(0, positions_[std::size_t(m)] - sight),
                            positions_[std::size_t(m)]});
  }
  [[nodiscard]] AttentionPlan plan(int together) const {
    return {queries_, together, static_cast<std::size_t>(head_dim_) * sizeof(T)};
  }
  [[nodiscard]] std::size_t outputs() const { return query_values_.size(); }
  /// Each group with the next one fetched.
  void attend(const Kernels<T>& kernels, const AttentionPlan& plan, T* out) const {
    for (std::size_t g = 0; g < plan.groups().size(); ++g) {
      if (g + 1 == plan.groups().size()) return kernels.attend(task(plan, g, out), nullptr);
      const AttentionTask<T> next = task(plan, g + 1, out);
      kernels.attend(task(plan, g, out), &next);
    }
  }

 private:
  static constexpr std::size_t offset = 48;

  int below(int n) { return static_cast<int>(generator_() % static_cast<std::uint64_t>(n)); }
  void grow(int positions) {
    std::vector<const std::byte*> table;
    if (!tables_.empty()) {  // most often like the one before
      table = tables_[below(4) == 0 ? std::size_t(below(static_cast<int>(tables_.size()))) : tables_.size() - 1];
      if (below(3) != 0) table.resize(std::size_t(below(static_cast<int>(table.size()) + 1)));
    }
    while (table.size() < std::size_t((positions + block_positions - 1) / block_positions))
      table.push_back(new_block());
    tables_.push_back(std::move(table));
  }
  const std::byte* new_block() {
    auto& block = storage_.emplace_back(offset + std::size_t(2 * block_positions * head_dim_));
    for (int p = 0; p < block_positions; ++p) {
      const auto row = normal(std::size_t(2 * head_dim_), generator_());
      T* const keys = block.data() + offset;
      kernels<T>().store_key(row.data(), head_dim_, p, keys);
      kernels<T>().store_value(row.data() + head_dim_, head_dim_, p, keys + block_positions * head_dim_);
    }
    return reinterpret_cast<const std::byte*>(block.data());
  }
  AttentionTask<T> task(const AttentionPlan& plan, std::size_t group, T* out) const {
    AttentionTask<T> task{&plan.groups()[group], {}, {}, offset, head_dim_, 0.3F};
    for (int q = 0; q < task.group->count; ++q) {
      const auto at = (plan.first_query(group) + std::size_t(q)) * std::size_t(head_dim_);
      task.queries[q] = query_values_.data() + at;
      task.out[q] = out + at;
    }
    return task;
  }

  std::mt19937_64 generator_;
  int head_dim_;
  std::vector<float> query_values_;
  std::vector<int> positions_;
  std::vector<std::vector<T>> storage_;
  std::vector<std::vector<const std::byte*>> tables_;
  std::vector<AttentionQuery> queries_;
};

TYPED_TEST(KernelsTest, AQuerysBitsDoNotDependOnItsGroup) {
  std::uint64_t seed = 0;
  for (const int head_dim : {16, 48, 64, 80, 128})
    for (const int heads : {1, 3, 7})
      for (const int sight : {1 << 30, 40, 600})
        for (const int members : {1, 2, 7, 40 / heads}) {
          const Family<TypeParam> family(++seed, members, heads, head_dim, sight);
          const AttentionPlan alone = family.plan(1);

          const auto expected = this->same_for_all(
              family.outputs(), [&](const auto& kernels, TypeParam* out) { family.attend(kernels, alone, out); });

          for (int together = 2; together <= attention_queries; ++together) {
            const AttentionPlan plan = family.plan(together);
            EXPECT_EQ(this->same_for_all(family.outputs(), [&](const auto& kernels,
                                                               TypeParam* out) { family.attend(kernels, plan, out); }),
                      expected)
                << "head dimension " << head_dim << ", " << heads << " heads, sight " << sight << ", " << members
                << " sequences, groups of " << together;
          }
        }
}

TYPED_TEST(KernelsTest, AttentionStandsExtremeScores) {
  for (const int positions : {1, 17, 300, 700}) {
    const Head<TypeParam> head(positions, 64, 1e4F);  // scores of some +-1e4: all weight on one position
    const auto query = normal(64, 9);

    const auto found =
        this->same_for_all(64, [&](const auto& kernels, TypeParam* out) { head.attend(kernels, query, out); });

    this->expect_close(found, head.attend(query), 4 * this->rounding + 1e-3);
  }
}

TYPED_TEST(KernelsTest, ANotANumberInTheKeysIsNotHidden) {
  for (const int bad : {0, 5, 20}) {
    Head<TypeParam> head(21, 32, 1.0F);
    TypeParam* key =
        head.storage[static_cast<std::size_t>(bad / block_positions)].data() + 32 + bad % block_positions * 32;
    assign(std::nan(""), key);
    const auto query = normal(32, 9);

    for (const auto& [name, kernels] : tables<TypeParam>()) {
      std::vector<TypeParam> out(32);
      head.attend(*kernels, query, out.data());
      EXPECT_TRUE(std::isnan(to_double(out[0]))) << name << ", position " << bad;
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
