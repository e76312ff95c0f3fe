// Attention over keys and values in every format, on every instruction set: the same bits as the baseline's, and close
// to plain formulas in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernel_tables.hpp"
#include "lm/cpu/attention_plan.hpp"

namespace shoal::lm::cpu {
namespace {

/// Results in T, keys and values in Kv.
template <class T_, class Kv_>
struct Format {
  using T = T_;
  using Kv = Kv_;
};
template <class F>
constexpr bool is_int8 = std::is_same_v<typename F::Kv, Int8>;

/// The first one's bits are those of all.
template <class F>
std::vector<std::pair<std::string, const AttentionKernels<typename F::T>*>> attention_tables() {
  if constexpr (is_int8<F>) {
    if (!has_vnni()) return {};
    return {{"AVX-512 VNNI", &attention_kernels<typename F::T>(KvFormat::int8)}};
  } else {
    std::vector<std::pair<std::string, const AttentionKernels<typename F::T>*>> all;
    for (const auto& [name, kernels] : tables<typename F::T>()) all.emplace_back(name, kernels);
    return all;
  }
}

/// A number as it is kept; in 8 bits with its row's scale, and multiplied by a Hadamard matrix.
double kept(std::span<const std::byte> head, int head_dim, int slot, int d, bool is_value, float /*type*/) {
  const auto* numbers = reinterpret_cast<const float*>(head.data());
  return numbers[((is_value ? block_positions : 0) + slot) * head_dim + d];
}
double kept(std::span<const std::byte> head, int head_dim, int slot, int d, bool is_value, Bf16 /*type*/) {
  const auto* numbers = reinterpret_cast<const Bf16*>(head.data());
  if (!is_value) return numbers[slot * head_dim + d].to_float();
  return numbers[block_positions * head_dim + (slot / 2 * head_dim + d) * 2 + slot % 2].to_float();
}
double kept(std::span<const std::byte> head, int head_dim, int slot, int d, bool is_value, Int8 /*type*/) {
  const auto* scales = reinterpret_cast<const float*>(head.data());
  const auto* numbers = reinterpret_cast<const std::uint8_t*>(head.data() + 2 * block_positions * sizeof(float));
  const int four = slot / 4 * 4 * head_dim;
  if (!is_value) return (numbers[four + d / 16 * 64 + slot % 4 * 16 + d % 16] - 128.0) * scales[slot];
  const auto value = static_cast<std::int8_t>(numbers[block_positions * head_dim + four + 4 * d + slot % 4]);
  return static_cast<double>(value) * scales[block_positions + slot];
}

/// The product with Hadamard matrices of the largest order that divides the length, by their definition.
std::vector<double> spread(const std::vector<double>& x) {
  const std::size_t order = x.size() & (~x.size() + 1);
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = i / order * order; j < (i / order + 1) * order; ++j)
      y[i] += __builtin_parityll(i & j & (order - 1)) != 0 ? -x[j] : x[j];
  return y;
}
double order_of(std::size_t length) { return static_cast<double>(length & (~length + 1)); }

template <class F>
class AttentionTest : public testing::Test {
 protected:
  using T = typename F::T;
  static constexpr double rounding = operand_type<T> == OperandType::bf16 ? 0x1p-8 : 1e-6;

  void SetUp() override {
    if (attention_tables<F>().empty()) GTEST_SKIP() << "this processor has no VNNI instructions";
  }
  template <class Compute>
  std::vector<double> same_for_all(std::size_t n, const Compute& compute) {
    return cpu::same_for_all<T>(attention_tables<F>(), n, compute);
  }
};

using Formats = testing::Types<Format<float, float>, Format<Bf16, Bf16>, Format<float, Int8>, Format<Bf16, Int8>>;
TYPED_TEST_SUITE(AttentionTest, Formats);

/// One head's keys and values in blocks of 16 positions, with NaN wherever nothing was written.
template <class F>
struct Head {
  using T = typename F::T;
  using Kv = typename F::Kv;

  Head(int positions, int head_dim_, float key_scale)
      : head_dim(head_dim_),
        count(positions),
        keys(normal(static_cast<std::size_t>(positions * head_dim_), 7, key_scale)),
        values(normal(static_cast<std::size_t>(positions * head_dim_), 8)) {
    for (int begin = 0; begin < positions; begin += block_positions)
      storage.emplace_back(offset + head_layout<Kv>(head_dim).bytes(), std::byte{0xFF});
    for (int p = 0; p < positions; ++p) store(p);
    for (const auto& block : storage) blocks.push_back(block.data());
  }
  void store(int p) {
    const auto& kernels = *attention_tables<F>().front().second;
    std::byte* const head = storage[static_cast<std::size_t>(p / block_positions)].data() + offset;
    const auto row = static_cast<std::ptrdiff_t>(p) * head_dim;
    kernels.store_key(keys.data() + row, head_dim, p % block_positions, head);
    kernels.store_value(values.data() + row, head_dim, p % block_positions, head);
  }
  /// As they are kept.
  [[nodiscard]] std::vector<double> row(int p, bool is_value) const {
    const auto head = std::span(storage[static_cast<std::size_t>(p / block_positions)]).subspan(offset);
    std::vector<double> x;
    for (int d = 0; d < head_dim; ++d) x.push_back(kept(head, head_dim, p % block_positions, d, is_value, Kv{}));
    if (!is_int8<F>) return x;
    x = spread(x);
    for (double& v : x) v /= order_of(x.size());
    return x;
  }
  [[nodiscard]] AttentionPlan plan() const {
    const AttentionQuery query{blocks.data(), first, count};
    return {std::span(&query, 1), 1, head_layout<Kv>(head_dim)};
  }
  [[nodiscard]] AttentionTask<T> task(const AttentionPlan& plan, const std::vector<float>& query, T* out) const {
    return {&plan.groups().front(), {query.data()}, {out}, offset, head_dim, scale(), cap};
  }
  [[nodiscard]] float scale() const { return 1.0F / std::sqrt(static_cast<float>(head_dim)); }
  void attend(const AttentionKernels<T>& kernels, const std::vector<float>& query, T* out) const {
    const AttentionPlan alone = plan();
    kernels.attend(task(alone, query, out), nullptr);
  }
  struct Attended {
    std::vector<double> sums;
    std::vector<double> weights;  ///< by position from first on, the largest is 1
    double total = 0.0;
  };
  /// By the formula, of the keys and values that are kept.
  [[nodiscard]] Attended attend_to(const std::vector<float>& query) const {
    std::vector<double> scores;
    for (int p = first; p < count; ++p) {
      const auto key = row(p, false);
      double dot = 0.0;
      for (std::size_t d = 0; d < key.size(); ++d) dot += query[d] * key[d];
      scores.push_back(dot * scale());
      if (cap > 0.0F) scores.back() = cap * std::tanh(scores.back() / cap);
    }
    Attended all{std::vector<double>(static_cast<std::size_t>(head_dim)), {}, 0.0};
    const double top = *std::max_element(scores.begin(), scores.end());
    for (int p = first; p < count; ++p) {
      all.weights.push_back(std::exp(scores[static_cast<std::size_t>(p - first)] - top));
      all.total += all.weights.back();
      const auto value = row(p, true);
      for (std::size_t d = 0; d < value.size(); ++d) all.sums[d] += all.weights.back() * value[d];
    }
    for (double& x : all.sums) x /= all.total;
    return all;
  }
  [[nodiscard]] std::vector<double> attend(const std::vector<float>& query) const { return attend_to(query).sums; }
  /// How far off the result may be, relative to its largest number, because a query is kept in 16 bits and so are
  /// weights times the scales of their values.
  [[nodiscard]] double error_of_16_bits(const std::vector<float>& query) const {
    if (!is_int8<F>) return 0.0;
    const Attended all = attend_to(query);
    const double order = order_of(query.size());
    const double query_unit = largest_of(spread({query.begin(), query.end()})) / (127 * 256 + 127);
    double score_error = 0.0, largest_value = 0.0, unit = 0.0;
    for (int p = first; p < count; ++p) {
      double sum = 0.0;
      for (const double x : spread(row(p, false))) sum += std::abs(x);
      score_error = std::max(score_error, 0.5 * query_unit * sum / order * scale());
      const auto value = row(p, true);
      largest_value = std::max(largest_value, largest_of(value));
      unit = std::max(unit, all.weights[static_cast<std::size_t>(p - first)] * largest_of(spread(value)) / 65535);
    }
    const double of_weights = 0.5 * unit * static_cast<double>(all.weights.size()) / all.total;
    return (std::expm1(2.0 * score_error) * largest_value + of_weights) / largest_of(all.sums);
  }

  static constexpr std::size_t offset = 64;
  int head_dim;
  int count;
  int first = 0;     ///< position that is seen
  float cap = 0.0F;  ///< of scores
  std::vector<float> keys, values;
  std::vector<std::vector<std::byte>> storage;
  std::vector<const std::byte*> blocks;
};

TYPED_TEST(AttentionTest, RowsAreKeptAsTheirFormatSays) {
  for (const int head_dim : {16, 48, 64, 80, 128, 256}) {
    const Head<TypeParam> head(37, head_dim, 1.0F);
    for (int p = 0; p < head.count; ++p)
      for (const bool is_value : {false, true}) {
        const auto begin = (is_value ? head.values : head.keys).begin() + std::ptrdiff_t{p} * head_dim;
        const std::vector<double> given(begin, begin + head_dim);
        const auto found = head.row(p, is_value);
        if constexpr (is_int8<TypeParam>) {
          const auto wanted = spread(given), spread_found = spread(found);
          for (std::size_t d = 0; d < given.size(); ++d)
            ASSERT_NEAR(spread_found[d], wanted[d], largest_of(wanted) / 127 * 0.5001) << head_dim << ", " << p;
        } else {
          for (std::size_t d = 0; d < given.size(); ++d) {
            typename TypeParam::T rounded;
            assign(given[d], &rounded);
            ASSERT_EQ(found[d], to_double(rounded));
          }
        }
      }
  }
}

/// As in the keys of Qwen, whose biases are large in a few dimensions.
TYPED_TEST(AttentionTest, ALargeNumberDoesNotTakeTheOthersPrecision) {
  Head<TypeParam> head(200, 64, 1.0F);
  double squares = 0.0;
  for (int p = 0; p < head.count; ++p) {
    head.keys[std::size_t(p * 64 + 5)] = 50.0F;
    head.store(p);
    const auto kept_row = head.row(p, false);
    for (std::size_t d = 0; d < 64; ++d)
      if (d != 5) squares += std::pow(kept_row[d] - head.keys[std::size_t(p * 64) + d], 2) / (63 * head.count);
  }
  // A unit is 50 / 8 and some three standard deviations, over 127; without spreading it would be 50 / 127.
  EXPECT_LT(std::sqrt(squares), is_int8<TypeParam> ? 9.5 / 127 / std::sqrt(12.0) : 0x1p-8);
}

TYPED_TEST(AttentionTest, StoringWritesNoNeighbour) {
  for (const int head_dim : {16, 64, 80}) {
    Head<TypeParam> head(16, head_dim, 1.0F);
    const auto whole = head.storage;
    for (int p = 0; p < 16; ++p) {
      for (const auto& [name, kernels] : attention_tables<TypeParam>()) {
        std::vector<std::byte> block(whole[0].size(), std::byte{0xFF});
        const auto row = std::ptrdiff_t{p} * head_dim;
        kernels->store_key(head.keys.data() + row, head_dim, p, block.data() + head.offset);
        kernels->store_value(head.values.data() + row, head_dim, p, block.data() + head.offset);
        std::size_t written = 0;
        for (std::size_t i = 0; i < block.size(); ++i) {
          if (block[i] == std::byte{0xFF}) continue;
          ++written;
          ASSERT_EQ(block[i], whole[0][i]) << name;
        }
        const std::size_t scales = is_int8<TypeParam> ? 2 * sizeof(float) : 0;
        EXPECT_LE(written, 2 * std::size_t(head_dim) * sizeof(typename TypeParam::Kv) + scales) << name;
        EXPECT_GE(written, std::size_t(head_dim)) << name;
      }
    }
  }
}

template <class F>
class AttentionInOperandsTest : public AttentionTest<F> {};
using FormatsOfOperands = testing::Types<Format<float, float>, Format<Bf16, Bf16>>;
TYPED_TEST_SUITE(AttentionInOperandsTest, FormatsOfOperands);

TYPED_TEST(AttentionInOperandsTest, StoredValuesAreRoundedToNearestAndKeepNan) {
  using Number = typename TypeParam::T;
  std::vector<float> x = normal(240, 6);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float special :
       {0.0F, -0.0F, infinity, -infinity, 0x1.01p0F, 0x1.03p0F, 0x1.010002p0F, 3.4028235e38F, 1e-40F, 0x1p-149F,
        std::nanf(""), -std::nanf(""), std::nanf("0x3FFFFF"), 1.0F, 2.0F, 3.0F})
    x.push_back(special);

  for (const int slot : {0, 1, 15}) {
    const auto block = this->same_for_all(2 * block_positions * x.size(), [&](const auto& kernels, auto* out) {
      kernels.store_value(x.data(), static_cast<int>(x.size()), slot, reinterpret_cast<std::byte*>(out));
    });

    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool pairs = operand_type<Number> == OperandType::bf16;
      const auto s = static_cast<std::size_t>(slot);
      const double found =
          block[block_positions * x.size() + (pairs ? (s / 2 * x.size() + i) * 2 + s % 2 : s * x.size() + i)];
      Number rounded;
      assign(x[i], &rounded);
      if (std::isnan(x[i]))
        EXPECT_TRUE(std::isnan(found));
      else
        EXPECT_EQ(found, to_double(rounded));
    }
  }
}

TYPED_TEST(AttentionTest, AttentionFollowsItsFormula) {
  for (const int head_dim : {16, 32, 48, 64, 80, 128, 256})
    for (const int positions : {1, 2, 15, 16, 17, 300, 511, 512, 513, 1100}) {
      const Head<TypeParam> head(positions, head_dim, 1.0F);
      const auto query = normal(static_cast<std::size_t>(head_dim), 9);

      const auto found = this->same_for_all(static_cast<std::size_t>(head_dim),
                                            [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); });

      expect_close(found, head.attend(query), 4 * this->rounding + head.error_of_16_bits(query));
    }
}

TYPED_TEST(AttentionTest, AttentionSeesOnlyItsWindow) {
  for (const int positions : {17, 300, 600, 1100})
    for (const int window : {1, 2, 15, 16, 17, 40, 530}) {
      Head<TypeParam> head(positions, 32, 1.0F);
      head.first = std::max(0, positions - window);
      const auto query = normal(32, 9);

      const auto found =
          this->same_for_all(32, [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); });

      expect_close(found, head.attend(query), 4 * this->rounding + head.error_of_16_bits(query));
    }
}

TYPED_TEST(AttentionTest, AttentionCapsWhatItSees) {
  for (const int positions : {1, 17, 513, 1100})
    for (const int first : {0, 5, 600}) {
      if (first >= positions) continue;
      Head<TypeParam> head(positions, 32, 1.0F);
      head.first = first;
      head.cap = 0.5F;  // most scores are larger
      const auto query = normal(32, 9);

      const auto found =
          this->same_for_all(32, [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); });

      expect_close(found, head.attend(query), 4 * this->rounding + head.error_of_16_bits(query));
      auto uncapped = head;
      uncapped.cap = 0.0F;
      if (positions > first + 1) {
        EXPECT_NE(uncapped.attend(query), head.attend(query));
      }
    }
}

TYPED_TEST(AttentionTest, BlocksBeforeTheWindowAreNotRead) {
  Head<TypeParam> head(100, 32, 1.0F);
  head.first = 50;
  for (std::size_t block = 0; block < 3; ++block) head.blocks[block] = nullptr;
  const auto query = normal(32, 9);

  const auto found = this->same_for_all(32, [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); });

  expect_close(found, head.attend(query), 4 * this->rounding + head.error_of_16_bits(query));
}

TYPED_TEST(AttentionTest, FetchingTheNextRowChangesNothing) {
  for (const int positions : {1, 40, 600}) {
    const Head<TypeParam> head(positions, 64, 1.0F), other(positions, 64, 1.0F);
    const auto query = normal(64, 9);
    const AttentionPlan plan = head.plan(), next_plan = other.plan();

    const auto found = this->same_for_all(64, [&](const auto& kernels, auto* out) {
      const auto next = other.task(next_plan, query, nullptr);
      kernels.attend(head.task(plan, query, out), &next);
    });

    EXPECT_EQ(found, this->same_for_all(64, [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); }));
  }
}

/// Sequences that grew from one another: each has the blocks of an earlier one up to some position, then its own.
template <class F>
class Family {
 public:
  using T = typename F::T;
  using Kv = typename F::Kv;

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
  [[nodiscard]] AttentionPlan plan(int together) const { return {queries_, together, head_layout<Kv>(head_dim_)}; }
  [[nodiscard]] std::size_t outputs() const { return query_values_.size(); }
  /// Each group with the next one fetched.
  void attend(const AttentionKernels<T>& kernels, const AttentionPlan& plan, T* out) const {
    for (std::size_t g = 0; g < plan.groups().size(); ++g) {
      if (g + 1 == plan.groups().size()) return kernels.attend(task(plan, g, out), nullptr);
      const AttentionTask<T> next = task(plan, g + 1, out);
      kernels.attend(task(plan, g, out), &next);
    }
  }

 private:
  static constexpr std::size_t offset = 128;

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
    auto& block = storage_.emplace_back(offset + head_layout<Kv>(head_dim_).bytes());
    const auto& kernels = *attention_tables<F>().front().second;
    for (int p = 0; p < block_positions; ++p) {
      const auto row = normal(std::size_t(2 * head_dim_), generator_());
      kernels.store_key(row.data(), head_dim_, p, block.data() + offset);
      kernels.store_value(row.data() + head_dim_, head_dim_, p, block.data() + offset);
    }
    return block.data();
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
  std::vector<std::vector<std::byte>> storage_;
  std::vector<std::vector<const std::byte*>> tables_;
  std::vector<AttentionQuery> queries_;
};

TYPED_TEST(AttentionTest, AQuerysBitsDoNotDependOnItsGroup) {
  std::uint64_t seed = 0;
  for (const int head_dim : {16, 48, 64, 80, 128})
    for (const int heads : {1, 3, 7})
      for (const int sight : {1 << 30, 40, 600})
        for (const int members : {1, 2, 7, 40 / heads}) {
          const Family<TypeParam> family(++seed, members, heads, head_dim, sight);
          const AttentionPlan alone = family.plan(1);

          const auto expected = this->same_for_all(
              family.outputs(), [&](const auto& kernels, auto* out) { family.attend(kernels, alone, out); });

          for (int together = 2; together <= attention_queries; ++together) {
            const AttentionPlan plan = family.plan(together);
            EXPECT_EQ(this->same_for_all(family.outputs(),
                                         [&](const auto& kernels, auto* out) { family.attend(kernels, plan, out); }),
                      expected)
                << "head dimension " << head_dim << ", " << heads << " heads, sight " << sight << ", " << members
                << " sequences, groups of " << together;
          }
        }
}

TYPED_TEST(AttentionTest, AttentionStandsExtremeScores) {
  for (const int positions : {1, 17, 300, 700}) {
    const Head<TypeParam> head(positions, 64, 1e4F);  // scores of some +-1e4: all weight on one position
    const auto query = normal(64, 9);

    const auto found =
        this->same_for_all(64, [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); });

    expect_close(found, head.attend(query), 4 * this->rounding + 1e-3);
  }
}

TYPED_TEST(AttentionTest, ANotANumberIsNotHidden) {
  for (const int head_dim : {32, 80})
    for (const int bad : {0, 5, 20})
      for (const bool in_values : {false, true}) {
        Head<TypeParam> head(21, head_dim, 1.0F);
        (in_values ? head.values : head.keys)[std::size_t(bad * head_dim)] = std::nanf("");
        head.store(bad);
        const auto query = normal(std::size_t(head_dim), 9);

        const auto found = this->same_for_all(
            std::size_t(head_dim), [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); });

        EXPECT_TRUE(std::isnan(found[0])) << head_dim << ", position " << bad;
      }
}

TYPED_TEST(AttentionTest, WhatWasNotWrittenDoesNotMatter) {
  for (const int positions : {1, 3, 18, 530}) {
    Head<TypeParam> head(positions, 64, 1.0F);
    const auto query = normal(64, 9);
    const auto attend = [&] {
      return this->same_for_all(64, [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); });
    };
    const auto expected = attend();  // beside NaN
    std::vector<float> row(64, 1e30F);
    for (int slot = positions % block_positions; slot < block_positions; ++slot) {
      const auto& kernels = *attention_tables<TypeParam>().front().second;
      kernels.store_key(row.data(), 64, slot, head.storage.back().data() + head.offset);
      kernels.store_value(row.data(), 64, slot, head.storage.back().data() + head.offset);
    }

    EXPECT_EQ(attend(), expected) << positions;
  }
}

TYPED_TEST(AttentionTest, RowsOfZerosGiveZeros) {
  Head<TypeParam> head(20, 64, 1.0F);
  std::fill(head.keys.begin(), head.keys.end(), 0.0F);
  std::fill(head.values.begin(), head.values.end(), 0.0F);
  for (int p = 0; p < 20; ++p) head.store(p);
  const std::vector<float> query(64);

  EXPECT_EQ(this->same_for_all(64, [&](const auto& kernels, auto* out) { head.attend(kernels, query, out); }),
            std::vector<double>(64));
}

}  // namespace
}  // namespace shoal::lm::cpu
