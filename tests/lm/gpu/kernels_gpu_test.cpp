// The kernels on a GPU against their own bodies on an emulated block of threads, which tests/lm/cuda checks against the
// operations in double precision. compute-sanitizer runs these too.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "lm/cuda/attention_plan.hpp"
#include "lm/cuda/batch_sizes.hpp"
#include "lm/cuda/emulated_block.hpp"
#include "lm/cuda/graphs.hpp"
#include "lm/cuda/launches.hpp"
#include "lm/cuda/memory.hpp"
#include "lm/cuda/products.hpp"

namespace shoal::lm::cuda {
namespace {

std::vector<float> random_floats(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& x : values) x = normal(generator);
  return values;
}

std::vector<Bf16> random_bf16(std::size_t count, std::uint64_t seed) {
  std::vector<Bf16> out;
  for (const float x : random_floats(count, seed)) out.push_back(Bf16::from_float(x));
  return out;
}

double number(float x) { return x; }
double number(Bf16 x) { return x.to_float(); }
double number(std::int8_t x) { return x; }

/// Differences of a rounding or two.
template <class T>
void expect_close(const std::vector<T>& found, const std::vector<T>& expected, double unit) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(number(found[i]), number(expected[i]), unit * (std::abs(number(expected[i])) + 1e-3)) << "at " << i;
}

class KernelsOnGpu : public testing::Test {
 protected:
  /// A copy on the GPU that lives as long as the test.
  template <class T>
  T* on_gpu(const std::vector<T>& values) {
    arrays_.emplace_back(std::max<std::size_t>(1, values.size() * sizeof(T)));
    auto* at = reinterpret_cast<T*>(arrays_.back().data());
    copy_to_device(std::span<const T>(values), at, stream);
    stream.wait();
    return at;
  }
  template <class T>
  std::vector<T> fetch(const T* at, std::size_t size) {
    std::vector<T> values(size);
    copy_to_host(at, std::span<T>(values), stream);
    stream.wait();
    return values;
  }
  Stream stream;

 private:
  std::vector<Array<std::byte>> arrays_;
};

TEST_F(KernelsOnGpu, NormsActivationsAndEightBits) {
  for (const int n : {16, 896, 4096})
    for (const int rows : {1, 5, 300}) {
      const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(rows),
                 width = static_cast<std::size_t>(n);
      auto x = random_floats(size, 1);
      const auto weight = random_floats(width, 2), bias = random_floats(width, 3);
      const auto up = random_bf16(2 * size, 4);
      for (const Activation activation :
           {Activation::gated_silu, Activation::gated_gelu_tanh, Activation::gelu, Activation::gelu_tanh}) {
        const bool second = is_gated(activation);
        std::vector<Bf16> normed(size), active(size);
        emulate(rows, 256, ThreadOrder::forward, [&](EmulatedBlock& block) {
          normalize(
              block,
              NormTask{x.data(), {}, nullptr, weight.data(), second ? bias.data() : nullptr, n, 1e-5F, normed.data()});
        });
        emulate(rows, 256, ThreadOrder::forward, [&](EmulatedBlock& block) {
          activate(block, ActivationTask{up.data(), activation, n, active.data()});
        });
        Bf16 *found_norm = on_gpu(std::vector<Bf16>(size)), *found_active = on_gpu(std::vector<Bf16>(size));
        launch(NormTask{on_gpu(x), {}, nullptr, on_gpu(weight), second ? on_gpu(bias) : nullptr, n, 1e-5F, found_norm},
               rows, stream.get());
        launch(ActivationTask{on_gpu(up), activation, n, found_active}, rows, stream.get());
        expect_close(fetch(found_norm, size), normed, 0x1p-7);
        expect_close(fetch(found_active, size), active, 0x1p-7);
      }
      std::vector<std::int8_t> q(size);
      std::vector<float> scales(static_cast<std::size_t>(rows));
      emulate(rows, 256, ThreadOrder::forward, [&](EmulatedBlock& block) {
        quantize(block, QuantizeTask{up.data(), n, q.data(), scales.data()});
      });
      std::int8_t* found_q = on_gpu(std::vector<std::int8_t>(size));
      float* found_scales = on_gpu(scales);
      launch(QuantizeTask{on_gpu(up), n, found_q, found_scales}, rows, stream.get());
      EXPECT_EQ(fetch(found_scales, scales.size()), scales);
      EXPECT_EQ(fetch(found_q, size), q);
    }
}

TEST_F(KernelsOnGpu, EmbedsTurnsAndPlaces) {
  const int rows = 5, heads = 14, kv_heads = 2, head_dim = 64, half = 24, n = 896;
  const std::vector<int> positions{0, 15, -1, 16, 4000}, tokens{3, 0, 0, 6, 2}, begin{0, 1, 1, 2, 4};
  const auto embedding = random_bf16(7 * n, 1), learned = random_bf16(std::size_t{4001} * n, 2);
  std::vector<float> embedded(static_cast<std::size_t>(rows * n));
  emulate(rows, 256, ThreadOrder::forward, [&](EmulatedBlock& block) {
    embed(block, EmbedTask{tokens.data(), positions.data(), embedding.data(), learned.data(), n, embedded.data()});
  });
  int *positions_at = on_gpu(positions), *tokens_at = on_gpu(tokens);
  float* embedded_at = on_gpu(std::vector<float>(embedded.size()));
  launch(EmbedTask{tokens_at, positions_at, on_gpu(embedding), on_gpu(learned), n, embedded_at}, rows, stream.get());
  EXPECT_EQ(fetch(embedded_at, embedded.size()), embedded);

  std::vector<double> frequencies;
  for (int i = 0; i < half; ++i) frequencies.push_back(std::pow(1e4, -i / static_cast<double>(half)));
  std::vector<float> cosines(static_cast<std::size_t>(rows * half)), sines = cosines;
  emulate(rows, 32, ThreadOrder::forward, [&](EmulatedBlock& block) {
    find_rotations(block, RotationTask{positions.data(), frequencies.data(), half, 1.25, cosines.data(), sines.data()});
  });
  float *cosines_at = on_gpu(std::vector<float>(cosines.size())), *sines_at = on_gpu(std::vector<float>(sines.size()));
  launch(RotationTask{positions_at, on_gpu(frequencies), half, 1.25, cosines_at, sines_at}, rows, stream.get());
  expect_close(fetch(cosines_at, cosines.size()), cosines, 1e-6);
  expect_close(fetch(sines_at, sines.size()), sines, 1e-6);

  const auto block_size = static_cast<std::size_t>(kv_heads * head_elements(head_dim));
  const auto qkv = random_bf16(static_cast<std::size_t>(rows * (heads + 2 * kv_heads) * head_dim), 3);
  const auto query_norm = random_floats(head_dim, 4), key_norm = random_floats(head_dim, 5);
  auto turned = qkv;
  std::vector<Bf16> blocks(300 * block_size);
  const auto tables = [&](Bf16* first) {  // one block for each row, and the last of the row at 4000
    std::vector<std::byte*> table;
    for (std::size_t b = 0; b < 300; ++b) table.push_back(reinterpret_cast<std::byte*>(first + b * block_size));
    return table;
  };
  const auto here = tables(blocks.data());
  PlaceTask task{turned.data(),
                 positions.data(),
                 cosines.data(),
                 sines.data(),
                 half,
                 query_norm.data(),
                 key_norm.data(),
                 1e-6F,
                 heads,
                 kv_heads,
                 head_dim,
                 here.data(),
                 begin.data(),
                 0};
  emulate(rows, 512, ThreadOrder::forward, [&](EmulatedBlock& block) { place_token(block, task); });
  Bf16 *turned_at = on_gpu(qkv), *blocks_at = on_gpu(std::vector<Bf16>(blocks.size()));
  launch(PlaceTask{turned_at, positions_at, cosines_at, sines_at, half, on_gpu(query_norm), on_gpu(key_norm), 1e-6F,
                   heads, kv_heads, head_dim, on_gpu(tables(blocks_at)), on_gpu(begin), 0},
         rows, stream.get());
  expect_close(fetch(turned_at, turned.size()), turned, 0x1p-7);
  expect_close(fetch(blocks_at, blocks.size()), blocks, 0x1p-7);
}

TEST_F(KernelsOnGpu, PartsSumsOfEightBitsAndCopies) {
  const int n = 896, rows = 300;
  const std::size_t width = n, size = width * rows;
  const auto x = random_floats(size, 1), parts = random_floats(3 * size, 2), bias = random_floats(width, 3),
             weight = random_floats(width, 4), scales = random_floats(rows, 5);
  auto sum = x;
  std::vector<Bf16> normed(size);
  emulate(rows, 256, ThreadOrder::forward, [&](EmulatedBlock& block) {
    normalize(block, NormTask{sum.data(),
                              {parts.data(), 3, static_cast<std::int64_t>(size), {bias.data(), nullptr}},
                              nullptr,
                              weight.data(),
                              nullptr,
                              n,
                              1e-5F,
                              normed.data()});
  });
  float* x_at = on_gpu(x);
  Bf16* normed_at = on_gpu(std::vector<Bf16>(size));
  launch(NormTask{x_at,
                  {on_gpu(parts), 3, static_cast<std::int64_t>(size), {on_gpu(bias), nullptr}},
                  nullptr,
                  on_gpu(weight),
                  nullptr,
                  n,
                  1e-5F,
                  normed_at},
         rows, stream.get());
  EXPECT_EQ(fetch(x_at, size), sum);
  expect_close(fetch(normed_at, size), normed, 0x1p-7);

  std::vector<std::int32_t> sums;
  for (std::size_t i = 0; i < size; ++i) sums.push_back(static_cast<int>(i * 7919 % 2000003) - 1000000);
  std::vector<float> logits(size);
  emulate(rows, 256, ThreadOrder::forward, [&](EmulatedBlock& block) {
    scale_sums(block,
               ScaleTask{sums.data(), scales.data(), weight.data(), bias.data(), n, nullptr, nullptr, logits.data()});
  });
  auto* sums_at = on_gpu(sums);  // logits take their place
  launch(ScaleTask{sums_at, on_gpu(scales), on_gpu(weight), on_gpu(bias), n, nullptr, nullptr,
                   reinterpret_cast<float*>(sums_at)},
         rows, stream.get());
  const auto found = fetch(reinterpret_cast<float*>(sums_at), size);
  for (std::size_t i = 0; i < size; ++i)
    ASSERT_NEAR(found[i], logits[i], 1e-6 * (std::abs(logits[i]) + std::abs(bias[i % width]))) << "at " << i;

  const std::size_t bytes = 92 * 1024 + 16;
  const auto from = random_floats(2 * bytes / 4, 6);
  auto* from_at = reinterpret_cast<std::byte*>(on_gpu(from));
  auto* to_at = reinterpret_cast<std::byte*>(on_gpu(std::vector<float>(from.size())));
  launch(CopyTask{on_gpu(std::vector<const std::byte*>{from_at, from_at + bytes}),
                  on_gpu(std::vector<std::byte*>{to_at + bytes, to_at}), static_cast<std::int64_t>(bytes)},
         2, stream.get());
  const auto copied = fetch(reinterpret_cast<float*>(to_at), from.size());
  EXPECT_TRUE(std::equal(from.begin(), from.begin() + bytes / 4, copied.begin() + bytes / 4));
  EXPECT_TRUE(std::equal(from.begin() + bytes / 4, from.end(), copied.begin()));
}

/// Kernels that come to the GPU while the one before still runs; each adds to what that one has written.
TEST_F(KernelsOnGpu, EachReadsWhatTheOneBeforeHasWritten) {
  const int n = 896, rows = 300, launches = 40;
  const std::size_t width = n, size = width * rows;
  const auto x = random_floats(size, 1), part = random_floats(size, 2), weight = random_floats(width, 3);
  auto expected = x;
  for (int i = 0; i < launches; ++i)
    for (std::size_t j = 0; j < size; ++j) expected[j] += part[j];
  float* at = on_gpu(x);
  const NormTask task{at,    {on_gpu(part), 1, 0, {nullptr, nullptr}}, nullptr, on_gpu(weight), nullptr, n,
                      1e-5F, on_gpu(std::vector<Bf16>(size))};
  const auto launch_all = [&] {
    for (int i = 0; i < launches; ++i) launch(task, rows, stream.get());
  };
  prepare_kernels(64, 1000);
  Graphs graphs(stream);
  for (const bool recorded : {false, true, true}) {
    copy_to_device(std::span<const float>(x), at, stream);
    if (recorded)
      graphs.run(rows, launch_all);
    else
      launch_all();
    EXPECT_EQ(fetch(at, size), expected) << (recorded ? "in a recording" : "one by one");
  }
}

TEST_F(KernelsOnGpu, ProductsInEightBitsAreExact) {
  for (const auto& [outputs, inputs] : {std::pair{1152, 896}, {896, 4864}, {1004, 64}}) {
    std::mt19937 generator(1);
    std::vector<std::int8_t> weights(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(inputs)),
        x(static_cast<std::size_t>(most_rows) * static_cast<std::size_t>(inputs));
    for (auto* values : {&weights, &x})
      for (std::int8_t& value : *values) value = static_cast<std::int8_t>(static_cast<int>(generator() % 255) - 127);
    Products products(stream);
    const ProductShape shape{outputs, inputs, Output::sums_of_8_bits, false};
    const auto *w = on_gpu(weights), *x_at = on_gpu(x);
    products.prepare(shape, w);
    const auto width = static_cast<std::size_t>(outputs);
    std::int32_t* y = on_gpu(std::vector<std::int32_t>(most_rows * width));
    for (const int rows : batch_sizes) {
      products.multiply(shape, rows, {w, x_at, nullptr, y});
      const auto found = fetch(y, static_cast<std::size_t>(rows) * width);
      for (const int r : {0, rows / 2, rows - 1})
        for (int o = 0; o < outputs; o += 37) {
          std::int32_t expected = 0;
          for (int i = 0; i < inputs; ++i)
            expected += weights[static_cast<std::size_t>(o * inputs + i)] * x[static_cast<std::size_t>(r * inputs + i)];
          ASSERT_EQ(found[static_cast<std::size_t>(r) * width + static_cast<std::size_t>(o)], expected)
              << rows << " rows: row " << r << ", output " << o;
        }
    }
  }
}

/// Rows of sequences with a common beginning: rotations, places, attention, merge.
void check_attention(int heads, int kv_heads, int head_dim, int sight,
                     const std::function<void(const std::vector<Bf16>&, const std::vector<int>&, const AttentionPlan&,
                                              std::vector<std::vector<Bf16>>*, std::vector<Bf16>*)>& on_gpu) {
  std::vector<int> positions{300, 301, 511, 512, 700, 90};
  std::vector<std::vector<BlockId>> tables;
  std::uint32_t next = 0;
  std::vector<BlockId> common;
  for (int b = 0; b < 5; ++b) common.emplace_back(next++);
  for (const int position : positions) {
    tables.push_back(common);
    while (static_cast<int>(tables.back().size()) <= position / 16) tables.back().emplace_back(next++);
  }
  std::vector<TokenRow> rows;
  for (std::size_t r = 0; r < positions.size(); ++r) rows.push_back({TokenId{0}, positions[r], tables[r]});
  AttentionPlanner planner({sight}, heads / kv_heads);
  const AttentionPlan plan = planner.plan(rows, next);
  std::vector<std::vector<Bf16>> blocks;
  for (std::uint32_t b = 0; b < next; ++b)
    blocks.push_back(random_bf16(static_cast<std::size_t>(kv_heads * head_elements(head_dim)), 50 + b));
  const auto qkv = random_bf16(positions.size() * static_cast<std::size_t>((heads + 2 * kv_heads) * head_dim), 9);

  std::vector<std::byte*> addresses;
  for (const BlockId id : plan.tables) addresses.push_back(reinterpret_cast<std::byte*>(blocks[id.value()].data()));
  const auto slots = static_cast<std::size_t>(plan.slot_count * heads);
  std::vector<float> tops(slots), sums(slots), outs(slots * static_cast<std::size_t>(head_dim));
  const int count = static_cast<int>(plan.by_sight[0].items.size());
  const float scale = log2_e / std::sqrt(static_cast<float>(head_dim));
  const AttentionTask task{qkv.data(),
                           positions.data(),
                           addresses.data(),
                           plan.by_sight[0].items.data(),
                           &count,
                           plan.by_sight[0].rows.data(),
                           plan.slots.data(),
                           0,
                           heads,
                           kv_heads,
                           head_dim,
                           sight,
                           scale,
                           tops.data(),
                           sums.data(),
                           outs.data()};
  emulate(4, 32 * attention_warps, ThreadOrder::forward, [&](EmulatedBlock& block) { attend<16>(block, task); });
  std::vector<Bf16> expected(positions.size() * static_cast<std::size_t>(heads * head_dim));
  emulate(static_cast<int>(positions.size()), 256, ThreadOrder::forward, [&](EmulatedBlock& block) {
    merge_windows(block, MergeTask{positions.data(), plan.slots.data(), heads, head_dim, sight, scale, tops.data(),
                                   sums.data(), outs.data(), expected.data()});
  });
  std::vector<Bf16> found(expected.size());
  on_gpu(qkv, positions, plan, &blocks, &found);
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i].to_float(), expected[i].to_float(), 0.01) << "at " << i;
}

TEST_F(KernelsOnGpu, Attention) {
  struct Shape {
    int heads, kv_heads, head_dim, sight;
  };
  for (const Shape& s : {Shape{14, 2, 64, 1 << 20}, Shape{32, 8, 128, 1 << 20}, Shape{4, 4, 80, 100},
                         Shape{2, 1, 256, 1 << 20}, Shape{3, 3, 16, 256}}) {
    prepare_kernels(s.head_dim, 1000);
    check_attention(
        s.heads, s.kv_heads, s.head_dim, s.sight,
        [&](const auto& qkv, const auto& positions, const AttentionPlan& plan, auto* blocks, auto* found) {
          std::vector<std::byte*> block_at, addresses;
          for (const auto& block : *blocks) block_at.push_back(reinterpret_cast<std::byte*>(this->on_gpu(block)));
          for (const BlockId id : plan.tables) addresses.push_back(block_at[id.value()]);
          const auto slots = static_cast<std::size_t>(plan.slot_count * s.heads);
          float *tops = this->on_gpu(std::vector<float>(slots)), *sums = this->on_gpu(std::vector<float>(slots)),
                *outs = this->on_gpu(std::vector<float>(slots * static_cast<std::size_t>(s.head_dim)));
          int *at = this->on_gpu(positions), *slot_at = this->on_gpu(plan.slots);
          const float scale = log2_e / std::sqrt(static_cast<float>(s.head_dim));
          Bf16* out = this->on_gpu(std::vector<Bf16>(found->size()));
          launch(AttentionTask{this->on_gpu(qkv), at, this->on_gpu(addresses), this->on_gpu(plan.by_sight[0].items),
                               this->on_gpu(std::vector<int>{static_cast<int>(plan.by_sight[0].items.size())}),
                               this->on_gpu(plan.by_sight[0].rows), slot_at, 0, s.heads, s.kv_heads, s.head_dim,
                               s.sight, scale, tops, sums, outs},
                 64, stream.get());
          launch(MergeTask{at, slot_at, s.heads, s.head_dim, s.sight, scale, tops, sums, outs, out},
                 static_cast<int>(positions.size()), stream.get());
          *found = this->fetch(out, found->size());
        });
  }
}

TEST_F(KernelsOnGpu, DrawsFromALargeVocabulary) {
  const int vocabulary = 151936, rows = 3;
  prepare_kernels(64, vocabulary);
  auto logits = random_floats(static_cast<std::size_t>(vocabulary * rows), 12);
  std::vector<std::uint32_t> real(static_cast<std::size_t>((vocabulary + 63) / 64 * 2), 0xFFFFFFFFU), few = real;
  for (std::size_t i = 0; i < few.size(); ++i) few[i] = i % 3 == 0 ? 0x00FF00F1U : 0;
  real[0] &= ~4U, few[0] &= ~4U;
  const std::vector<std::uint8_t> end_allowed{1, 0, 1};
  const std::vector<int> ends{2}, begin{0, 8, 9, 16};
  std::vector<double> uniforms;
  for (int i = 0; i < 16; ++i) uniforms.push_back((i + 0.5) / 16.0);
  const auto* real_bits = on_gpu(real);
  const auto* few_bits = on_gpu(few);
  for (const auto& [top_k, top_p, min_p] :
       {std::tuple{0, 1.0, 0.0}, {50, 1.0, 0.0}, {0, 0.9, 0.0}, {100, 0.5, 0.0}, {0, 1.0, 0.05}}) {
    std::vector<double> mass(3), end(3);
    std::vector<int> tokens(16);
    const std::uint32_t* masks[] = {real.data(), few.data(), real.data()};
    SampleTask task{logits.data(), vocabulary,   real.data(), masks, end_allowed.data(), ends.data(),     1,
                    1.25F,         top_k,        top_p,       min_p, begin.data(),       uniforms.data(), mass.data(),
                    end.data(),    tokens.data()};
    emulate(rows, sampling_threads, ThreadOrder::forward, [&](EmulatedBlock& block) { sample(block, task); });
    const double* found_mass = on_gpu(std::vector<double>(3));
    const double* found_end = on_gpu(std::vector<double>(3));
    const int* found_tokens = on_gpu(std::vector<int>(16));
    launch(SampleTask{on_gpu(logits), vocabulary, real_bits,
                      on_gpu(std::vector<const std::uint32_t*>{real_bits, few_bits, real_bits}), on_gpu(end_allowed),
                      on_gpu(ends), 1, 1.25F, top_k, top_p, min_p, on_gpu(begin), on_gpu(uniforms),
                      const_cast<double*>(found_mass), const_cast<double*>(found_end), const_cast<int*>(found_tokens)},
           rows, stream.get());
    const auto found = fetch(found_mass, 3), found_ends = fetch(found_end, 3);
    for (std::size_t r = 0; r < 3; ++r) {
      EXPECT_NEAR(found[r], mass[r], 1e-5);
      EXPECT_NEAR(found_ends[r], end[r], 1e-5);
    }
    const auto drawn = fetch(found_tokens, 16);
    int others = 0;
    for (std::size_t d = 0; d < tokens.size(); ++d) others += drawn[d] != tokens[d] ? 1 : 0;
    EXPECT_LE(others, 1);  // a uniform may lie on the edge between two tokens
  }
}

TEST_F(KernelsOnGpu, ProductsKeepARowsBitsInEveryBatch) {
  for (const auto& [outputs, inputs] : {std::pair{1152, 896}, {896, 4864}, {4096, 4096}, {50257, 768}}) {
    const auto weights = random_bf16(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(inputs), 1);
    const auto x = random_bf16(static_cast<std::size_t>(most_rows) * static_cast<std::size_t>(inputs), 2);
    const Bf16 *w = on_gpu(weights), *x_at = on_gpu(x);
    for (const auto& [output, parts] :
         {std::pair{Output::bf16, 1}, {Output::f32, 1}, {Output::f32, parts_of(outputs, inputs)}}) {
      if (outputs % 2 != 0 && output == Output::bf16) continue;  // only heads are odd
      Products products(stream);
      const ProductShape shape{outputs, inputs, output, false, parts};
      products.prepare(shape, w);
      std::cout << outputs << " x " << inputs << " in " << parts << " parts"
                << (products.padded_for_bits() == 0
                        ? ": bits kept at every size\n"
                        : ": padded for bits up to " + std::to_string(products.padded_for_bits()) + " rows\n");
      const std::size_t row = static_cast<std::size_t>(outputs) * (output == Output::bf16 ? 2 : 4);
      std::byte* y = on_gpu(std::vector<std::byte>(static_cast<std::size_t>(parts) * most_rows * row));
      products.multiply(shape, most_rows, {w, x_at, nullptr, y});
      std::vector<std::vector<std::byte>> all;
      for (int p = 0; p < parts; ++p)
        all.push_back(fetch(y + static_cast<std::size_t>(p) * most_rows * row, most_rows * row));
      for (const int rows : batch_sizes) {
        products.multiply(shape, rows, {w, x_at, nullptr, y});
        for (int p = 0; p < parts; ++p) {
          const auto some =
              fetch(y + static_cast<std::size_t>(p) * most_rows * row, static_cast<std::size_t>(rows) * row);
          EXPECT_EQ(std::memcmp(some.data(), all[static_cast<std::size_t>(p)].data(), some.size()), 0)
              << rows << " rows, part " << p;
        }
      }
      if (output != Output::f32) continue;
      const std::size_t r = most_rows - 1;
      for (int p = 0; p < parts; ++p)
        for (int o = 0; o < 50; ++o) {
          double expected = 0.0;
          for (int i = p * (inputs / parts); i < (p + 1) * (inputs / parts); ++i)
            expected += static_cast<double>(weights[static_cast<std::size_t>(o * inputs + i)].to_float()) *
                        x[r * static_cast<std::size_t>(inputs) + static_cast<std::size_t>(i)].to_float();
          float found = 0.0F;
          std::memcpy(&found, all[static_cast<std::size_t>(p)].data() + r * row + static_cast<std::size_t>(o) * 4, 4);
          EXPECT_NEAR(found, expected, 1e-3 * std::sqrt(inputs)) << "part " << p << ", output " << o;
        }
    }
  }
}

}  // namespace
}  // namespace shoal::lm::cuda
