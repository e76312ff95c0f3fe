// The record that the viewers of genlm-control and llamppl read.
#include "trace/genlm_export.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "shoal/error.hpp"
#include "trace/lineage.hpp"
#include "trace/synthetic_run.hpp"

namespace shoal::trace {
namespace {

using nlohmann::json;
using testing::synthetic_trace;

json exported(const Trace& trace) {
  std::ostringstream out;
  write_genlm_json(trace, out);
  return json::parse(out.str());
}

/// The text as the newer viewers rebuild it: the ancestor's first `keep` characters and the increment. (ASCII only.)
std::vector<std::string> rebuilt(const json& record) {
  std::vector<std::string> texts(record[0]["particles"].size());
  for (const json& step : record) {
    std::vector<std::string> next;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto& particle = step["particles"][i];
      const std::size_t from = step["mode"] == "resample" ? step["ancestors"][i].get<std::size_t>() : i;
      next.push_back(texts[from].substr(0, particle["keep"]) + particle["contents_incr"].get<std::string>());
    }
    texts = next;
  }
  return texts;
}

Trace ascii_trace() {
  Trace trace = synthetic_trace({.particles = 12, .batches = 6});
  for (auto& [token, bytes] : trace.token_bytes)
    if (bytes.find('\xc3') != std::string::npos) bytes = " cafes";
  return trace;
}

TEST(GenlmExport, HasOneStepPerBatchInTheKnownModes) {
  const Trace trace = ascii_trace();

  const json record = exported(trace);

  ASSERT_EQ(record.size(), trace.batches.size());
  EXPECT_EQ(record[0]["mode"], "init");
  int resamplings = 0;
  for (std::size_t b = 0; b < record.size(); ++b) {
    EXPECT_EQ(record[b]["step"], b + 1);
    EXPECT_EQ(record[b]["particles"].size(), 12U);
    const bool resampled = b > 0 && trace.batches[b - 1].resampled;
    EXPECT_EQ(record[b]["mode"] == "resample", resampled);
    EXPECT_EQ(record[b].contains("ancestors"), resampled);
    if (resampled) {
      EXPECT_EQ(record[b]["ancestors"].get<std::vector<std::uint32_t>>(), trace.batches[b - 1].ancestor);
    }
    resamplings += resampled ? 1 : 0;
  }
  EXPECT_GT(resamplings, 0);
}

TEST(GenlmExport, BothFormsOfTheTextAreTheParticlesText) {
  const Trace trace = ascii_trace();

  const json record = exported(trace);

  const auto texts = rebuilt(record);
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    std::string contents = record.back()["particles"][i]["contents"];
    contents.erase(contents.find("<<<"), 3);
    contents.erase(contents.find(">>>"), 3);
    EXPECT_EQ(contents, text_after(trace, trace.batches.size() - 1, i));
    EXPECT_EQ(texts[i], contents);
  }
}

TEST(GenlmExport, WeightsAreTextsAndIncrementsAddUp) {
  const Trace trace = ascii_trace();

  const json record = exported(trace);

  for (std::size_t b = 0; b < record.size(); ++b) {
    for (std::size_t i = 0; i < 12; ++i) {
      const json& particle = record[b]["particles"][i];
      const double weight = trace.batches[b].log_weight[i];
      if (std::isinf(weight)) {
        EXPECT_EQ(particle["logweight"], "-Infinity");
        EXPECT_EQ(particle["weight_incr"], "-Infinity");
        continue;
      }
      const bool resampled = b > 0 && trace.batches[b - 1].resampled;
      const double before = b == 0 ? 0.0 : resampled ? trace.batches[b - 1].log_z : trace.batches[b - 1].log_weight[i];
      EXPECT_EQ(std::stod(particle["logweight"].get<std::string>()), weight);
      EXPECT_NEAR(std::stod(particle["weight_incr"].get<std::string>()), weight - before, 1e-12);
    }
  }
}

TEST(GenlmExport, CharactersAreNotCutBetweenBatches) {
  Trace trace = synthetic_trace({.particles = 1, .batch_size = 1, .batches = 2, .ranks = 1});
  trace.batches[0].token = {40};
  trace.batches[1].token = {41};
  trace.token_bytes = {{40, "x\xc3"}, {41, "\xa4y"}};

  const json record = exported(trace);

  EXPECT_EQ(record[0]["particles"][0]["contents"], "<<<x>>>");
  EXPECT_EQ(record[1]["particles"][0]["contents"], "x<<<äy>>>");
  EXPECT_EQ(record[1]["particles"][0]["keep"], 1);
}

TEST(GenlmExport, OfARunWithoutBatchesIsAnEmptyList) {
  EXPECT_EQ(exported(synthetic_trace({.batches = 0, .with_result = false})), json::array());
}

TEST(GenlmExport, RefusesDamagedTraces) {
  Trace trace = ascii_trace();
  trace.batches[0].ancestor[0] = 99;
  std::ostringstream out;
  EXPECT_THROW(write_genlm_json(trace, out), IoError);
}

}  // namespace
}  // namespace shoal::trace
