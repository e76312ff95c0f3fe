// The engine's logits against those of Hugging Face's models in double precision (data/make_fixtures.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <tuple>

#include "expected_logits.hpp"
#include "fixtures.hpp"

namespace shoal::lm {
namespace {

/// A type of products on the lowest instruction set that computes it in this way.
struct Path {
  DType dtype;
  Isa isa;
  KvDType kv_dtype = KvDType::automatic;
};

class Parity : public testing::TestWithParam<std::tuple<const char*, Path>> {
 protected:
  void SetUp() override {
    if (path.isa > processor_isa()) GTEST_SKIP() << "this processor lacks " << name_of(path.isa);
    transformer = load(folder, dtype, path.kv_dtype);
    vocabulary_size = transformer->config().vocabulary_size;
    const ExpectedLogits expected = read_expected(folder, vocabulary_size);
    cases = expected.prompts;
    tolerance = dtype == DType::f32 ? 1e-5 : dtype == DType::bf16 ? expected.bf16_error : expected.int8_tolerance();
    // Keys and values in 8 bits add about what all in bf16 are off. (AttentionTest has the exact bounds.)
    if (path.kv_dtype == KvDType::int8) tolerance += 1.7 * expected.bf16_error;
  }
  void note(double error) { worst = std::max(worst, error); }
  void TearDown() override {
    if (!IsSkipped()) std::cout << "relative error " << worst << " of " << tolerance << " allowed\n";
    EXPECT_LE(worst, tolerance);
  }

  std::filesystem::path folder = fixture(std::get<0>(GetParam()));
  Path path = std::get<1>(GetParam());
  DType dtype = path.dtype;
  ScopedIsa isa{path.isa};
  std::unique_ptr<Transformer> transformer;
  int vocabulary_size = 0;
  std::vector<Expected> cases;
  /// In bf16 what Hugging Face's own model is off.
  double tolerance = 0.0;
  double worst = 0.0;
};

TEST_P(Parity, PrefillGivesTheLogitsOfHuggingFace) {
  for (const Expected& one : cases)
    for (std::size_t i = 0; i < one.positions.size(); ++i) {
      TransformerTree tree(*transformer, std::span(one.prompt).first(one.positions[i] + 1));
      note(relative_error(logits_of(&tree, {tree.root()}, vocabulary_size), one.logits[i]));
    }
}

TEST_P(Parity, DecodingTokenByTokenGivesTheLogitsOfHuggingFace) {
  for (const Expected& one : cases) {
    TransformerTree tree(*transformer, std::span(one.prompt).first(1));
    ContextId at = tree.root();
    std::size_t known = 0;
    for (std::size_t p = 0; p < one.prompt.size(); ++p) {
      if (p > 0) at = tree.extend(at, one.prompt[p]);
      const auto logits = logits_of(&tree, {at}, vocabulary_size);
      if (known < one.positions.size() && one.positions[known] == p) note(relative_error(logits, one.logits[known++]));
    }
    EXPECT_EQ(known, one.positions.size());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Checkpoints, Parity,
    testing::Combine(testing::ValuesIn(checkpoints),
                     testing::Values(Path{DType::f32, Isa::baseline}, Path{DType::f32, Isa::avx2},
                                     Path{DType::f32, Isa::avx512}, Path{DType::bf16, Isa::baseline},
                                     Path{DType::bf16, Isa::avx2}, Path{DType::bf16, Isa::avx512},
                                     Path{DType::bf16, Isa::avx512_bf16}, Path{DType::int8, Isa::avx2},
                                     Path{DType::int8, Isa::avx512_vnni}, Path{DType::int8, Isa::avx512_bf16},
                                     Path{DType::bf16, Isa::amx}, Path{DType::int8, Isa::amx},
                                     Path{DType::f32, Isa::avx512_vnni, KvDType::int8},
                                     Path{DType::bf16, Isa::avx512_bf16, KvDType::int8},
                                     Path{DType::int8, Isa::avx512_bf16, KvDType::int8})),

    [](const auto& i) {
      const Path path = std::get<1>(i.param);
      return std::get<0>(i.param) + name_of(path.dtype, path.kv_dtype) + "_with_" + name_of(path.isa);
    });

}  // namespace
}  // namespace shoal::lm
