// What Hugging Face's models in double precision say of the fixtures' prompts (data/make_fixtures.py).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::lm {

/// Of one prompt.
struct Expected {
  std::vector<TokenId> prompt;
  std::vector<std::size_t> positions;       ///< whose logits are known
  std::vector<std::vector<double>> logits;  ///< by known position
};

struct ExpectedLogits {
  std::vector<Expected> prompts;
  double bf16_error = 0.0;  ///< what Hugging Face's own model is off in bf16
  double int8_error = 0.0;  ///< and with operands of 8 bits

  /// Other operands are rounded here: half as much again is allowed, but no more than a tenth of the largest logit
  /// where the model itself keeps to that.
  [[nodiscard]] double int8_tolerance() const {
    return int8_error > 0.1 ? 1.25 * int8_error : std::min(0.1, 1.5 * int8_error);
  }
};

inline ExpectedLogits read_expected(const std::filesystem::path& folder, int vocabulary_size) {
  std::ifstream listing_file(folder / "expected.json");
  const auto listing = nlohmann::json::parse(listing_file);
  std::ifstream values(folder / "expected.f64", std::ios::binary);
  ExpectedLogits all{{}, listing["bf16_error"].get<double>(), listing["int8_error"].get<double>()};
  for (std::size_t i = 0; i < listing["prompts"].size(); ++i) {
    Expected one;
    for (const int id : listing["prompts"][i]) one.prompt.emplace_back(id);
    one.positions = listing["positions"][i].get<std::vector<std::size_t>>();
    for (std::size_t p = 0; p < one.positions.size(); ++p) {
      std::vector<double> row(static_cast<std::size_t>(vocabulary_size));
      values.read(reinterpret_cast<char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof(double)));
      one.logits.push_back(std::move(row));
    }
    all.prompts.push_back(std::move(one));
  }
  EXPECT_TRUE(values.good());
  return all;
}

/// max |difference| / max |expected|
inline double relative_error(const std::vector<float>& found, const std::vector<double>& expected) {
  double error = 0.0, largest = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error = std::max(error, std::abs(found[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return error / largest;
}

}  // namespace shoal::lm
