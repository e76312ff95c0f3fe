// What is written is what is read, bit by bit.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "trace/hdf5_handle.hpp"
#include "trace/sample.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace {
namespace {

using testing::difference;
using testing::sample_batch;
using testing::sample_info;
using testing::sample_result;
using testing::sample_vocabulary;
using testing::ScratchFolder;

void write_trace(const std::string& path, const TraceInfo& info, std::uint32_t first, std::uint32_t batches) {
  TraceWriter writer(path, info);
  for (std::uint32_t b = first; b < first + batches; ++b) writer.on_batch(sample_batch(info, 5, b));
  writer.finish(sample_result(info, 5));
}

struct Size {
  int particles;
  int batch_size;
  std::uint32_t batches;
};

class RoundTrip : public ::testing::TestWithParam<Size> {};

TEST_P(RoundTrip, BatchesAreReadAsWritten) {
  const auto [particles, batch_size, batches] = GetParam();
  const ScratchFolder folder;
  const TraceInfo info = sample_info(particles, batch_size);

  write_trace(folder / "t.h5", info, 0, batches);
  const Trace trace = read_trace(folder / "t.h5");

  EXPECT_EQ(trace.info, info);
  ASSERT_EQ(trace.batches.size(), batches);
  for (std::uint32_t b = 0; b < batches; ++b)
    ASSERT_EQ(difference(trace.batches[b], sample_batch(info, 5, b)), "") << "batch " << b;
  EXPECT_EQ(folder.list(), std::vector<std::string>{"t.h5"});
}

// Past the scalar columns' chunk of 128 rows; rows of more than one chunk of 1 MiB; the smallest trace; no batch.
INSTANTIATE_TEST_SUITE_P(Sizes, RoundTrip,
                         ::testing::Values(Size{7, 5, 3}, Size{1, 1, 1}, Size{3, 2, 300}, Size{70'000, 6, 2},
                                           Size{2, 3, 0}));

TEST(Trace, ResultIsReadAsWritten) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  const smc::RunResult wrote = sample_result(info, 5);

  write_trace(folder / "t.h5", info, 0, 2);
  const auto result = read_trace(folder / "t.h5").result;

  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->finish_reason, "timeout");
  EXPECT_EQ(result->best, wrote.response);
  EXPECT_EQ(result->extinct_by, "");
  EXPECT_EQ(result->log_z, wrote.log_z);
  EXPECT_EQ(result->ess, wrote.ess);
  ASSERT_EQ(result->texts.size(), wrote.particles.size());
  for (std::size_t i = 0; i < wrote.particles.size(); ++i) {
    EXPECT_EQ(result->texts[i], wrote.particles[i].text);
    EXPECT_EQ(result->tokens[i], static_cast<int>(wrote.particles[i].tokens.size()));
    EXPECT_EQ(result->log_weight[i], wrote.particles[i].log_weight);
    EXPECT_EQ(result->finished[i] != 0, wrote.particles[i].finished);
  }
  ASSERT_EQ(result->posterior.size(), 2U);
  EXPECT_EQ(result->posterior[0].text, wrote.posterior[0].text);
  EXPECT_EQ(result->posterior[1].probability, 0.25);
}

TEST(Trace, WeightsAreProbabilities) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  smc::RunResult wrote = sample_result(info, 5);
  for (auto& particle : wrote.particles) particle.log_weight = -5000.0;
  wrote.particles[0].log_weight = -5000.0 + std::log(3.0);
  wrote.particles[1].log_weight = -std::numeric_limits<double>::infinity();

  TraceWriter(folder / "t.h5", info).finish(wrote);
  const auto weights = read_trace(folder / "t.h5").result->weights;

  EXPECT_NEAR(weights[0], 3.0 / 8.0, 1e-12);
  EXPECT_EQ(weights[1], 0.0);
  EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 1.0, 1e-12);
}

TEST(Trace, ExtinctRunHasZeroWeightsAndAnEmptyPosterior) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  smc::RunResult wrote = sample_result(info, 5);
  wrote.reason = smc::FinishReason::extinct;
  wrote.extinct_by = "regex";
  wrote.posterior.clear();
  for (auto& particle : wrote.particles) particle.log_weight = -std::numeric_limits<double>::infinity();

  TraceWriter(folder / "t.h5", info).finish(wrote);
  const auto result = read_trace(folder / "t.h5").result;

  EXPECT_EQ(result->finish_reason, "extinct");
  EXPECT_EQ(result->extinct_by, "regex");
  EXPECT_EQ(result->weights, std::vector<double>(7, 0.0));
  EXPECT_TRUE(result->posterior.empty());
}

TEST(Trace, OfParticlesThatAreNotListedHasBatchesAndTheResultByHistory) {
  const ScratchFolder folder;
  TraceInfo info = sample_info();
  info.lists_particles = false;
  smc::BatchRecord batch;
  batch.ess = 3.0;
  batch.migration = {.moved = 5, .between_nodes = 2, .sent = 1, .messages = 1, .bytes = 99};
  smc::RunResult wrote = sample_result(info, 5);
  wrote.particles.resize(2);
  wrote.particles[0].count = 6;
  wrote.particles[0].log_weight = wrote.log_z;
  wrote.particles[1].log_weight = wrote.log_z;

  {
    TraceWriter writer(folder / "t.h5", info, &sample_vocabulary());
    writer.on_batch(batch);
    writer.finish(wrote);
  }
  const Trace trace = read_trace(folder / "t.h5");

  EXPECT_EQ(trace.info, info);
  EXPECT_EQ(difference(trace.batches.at(0), batch), "");
  EXPECT_EQ(trace.result->count, (std::vector<std::uint64_t>{6, 1}));
  EXPECT_EQ(trace.result->texts.size(), 2U);
  EXPECT_EQ(trace.result->weights[0], 6.0 / 7.0);
  EXPECT_EQ(trace.result->weights[1], 1.0 / 7.0);
}

TEST(Trace, OfAnEarlierProgramLacksWhatMovedBetweenNodes) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();
  write_trace(folder / "t.h5", info, 0, 2);
  {
    const hdf5::File file(H5Fopen((folder / "t.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
    hdf5::check(H5Ldelete(file.get(), "batch/moved_between_nodes", H5P_DEFAULT));
  }

  const Trace trace = read_trace(folder / "t.h5");

  ASSERT_EQ(trace.batches.size(), 2U);
  EXPECT_EQ(trace.batches[1].migration.between_nodes, 0U);
  EXPECT_EQ(trace.batches[1].migration.moved, sample_batch(info, 5, 1).migration.moved);
}

TEST(Trace, LongTextsAndNoPotentials) {
  const ScratchFolder folder;
  TraceInfo info = sample_info();
  info.potentials.clear();
  info.prompt = std::string(300'000, 'p') + "end";
  smc::RunResult wrote = sample_result(info, 5);
  wrote.particles[3].text = std::string("zero \0 inside ", 14) + std::string(2'000'000, 'y');

  {
    TraceWriter writer(folder / "t.h5", info);
    writer.on_batch(sample_batch(info, 5, 0));
    writer.finish(wrote);
  }
  const Trace trace = read_trace(folder / "t.h5");

  EXPECT_EQ(trace.info, info);
  EXPECT_EQ(trace.result->texts[3], wrote.particles[3].text);
  EXPECT_EQ(difference(trace.batches.at(0), sample_batch(info, 5, 0)), "");
}

TEST(Trace, ResumedRunKeepsItsBatchNumbers) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info();

  write_trace(folder / "t.h5", info, 41, 3);
  const Trace trace = read_trace(folder / "t.h5");

  ASSERT_EQ(trace.batches.size(), 3U);
  EXPECT_EQ(trace.batches[0].batch, 41U);
  EXPECT_EQ(difference(trace.batches[2], sample_batch(info, 5, 43)), "");
}

TEST(Trace, HoldsTheBytesOfTheTokensThatOccur) {
  const ScratchFolder folder;
  const TraceInfo info = sample_info(3, 4);
  TraceWriter writer(folder / "t.h5", info, &sample_vocabulary());

  for (std::uint32_t b = 0; b < 40; ++b) {
    writer.on_batch(sample_batch(info, 5, b));
    const Trace trace = read_trace(folder / "t.h5");
    for (const auto& record : trace.batches)
      for (const std::int32_t token : record.token)
        ASSERT_TRUE(token < 0 || trace.token_bytes.at(token) == sample_vocabulary().bytes(TokenId{token})) << token;
  }
  writer.finish(sample_result(info, 5));

  EXPECT_GT(read_trace(folder / "t.h5").token_bytes.size(), 90U);
}

TEST(Trace, WithoutAVocabularyHasNoTokenBytes) {
  const ScratchFolder folder;
  write_trace(folder / "t.h5", sample_info(), 0, 2);
  EXPECT_TRUE(read_trace(folder / "t.h5").token_bytes.empty());
}

TEST(DatasetNames, AreUsableAndDistinct) {
  EXPECT_EQ(dataset_names({"a/b", "a_b", "", "", ".x", "x", "x", "x_2"}),
            (std::vector<std::string>{"a_b", "a_b_2", "potential", "potential_2", "_x", "x", "x_2", "x_2_2"}));
}

}  // namespace
}  // namespace shoal::trace
