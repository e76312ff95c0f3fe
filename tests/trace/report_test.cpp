// The HTML page of a trace: content, hostile texts, sizes, unfinished and damaged runs.
#include "trace/report.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "shoal/error.hpp"
#include "trace/sample.hpp"
#include "trace/synthetic_run.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace {
namespace {

using nlohmann::json;
using testing::synthetic_trace;

std::string page_of(const Trace& trace, bool running = false) { return html_report(trace, {"run.h5", running}); }

bool says(const std::string& page, const std::string& words) { return page.find(words) != std::string::npos; }

std::size_t count(const std::string& page, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + part.size())) ++n;
  return n;
}

/// What the page's script reads.
json data_of(const std::string& page) {
  const std::string mark = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = page.find(mark) + mark.size();
  return json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST(Report, ShowsTheRunAtItsTop) {
  const Trace trace = synthetic_trace({.particles = 50, .batches = 10, .ranks = 2, .seed = 4});

  const std::string page = page_of(trace);

  for (const char* words :
       {"Tell me about parallel processing.", "completed", "every particle finished", "minnow",
        "2026-01-31 12:34:56 UTC", "<dt>seed</dt><dd>4</dd>", "<dt>ranks</dt><dd>2</dd>",
        "<dt>particles</dt><dd>50</dd>", "10 <small>60 token steps</small>",
        "mpirun -n 2 shoal generate --prompt &#39;Tell me about parallel processing.&#39;", "ess_threshold"})
    EXPECT_TRUE(says(page, words)) << words;
  EXPECT_TRUE(says(page, "Answer</span>" + trace.result->best + "</blockquote>"));
  EXPECT_FALSE(says(page, "class=\"notice\""));
}

TEST(Report, ListsThePosteriorByFallingProbability) {
  const Trace trace = synthetic_trace({});

  const std::string page = page_of(trace);

  std::size_t at = 0;
  for (const auto& entry : trace.result->posterior) {
    at = page.find(">" + entry.text + "</div>", at);
    ASSERT_NE(at, std::string::npos) << entry.text;
  }
  EXPECT_TRUE(says(page, std::to_string(trace.result->posterior.size()) + " distinct texts"));
}

TEST(Report, DrawsEveryParticleAndLineOfASmallRun) {
  const Trace trace = synthetic_trace({.particles = 20, .batches = 7});

  const std::string page = page_of(trace);
  const json data = data_of(page);

  const std::string tree =
      page.substr(page.find("<svg id=\"tree\""),
                  page.find("</svg>", page.find("<svg id=\"tree\"")) - page.find("<svg id=\"tree\""));
  EXPECT_EQ(count(tree, "<circle class"), 140U);
  ASSERT_EQ(data["genealogy"]["columns"].size(), 7U);
  for (std::size_t b = 1; b < 7; ++b) {
    const auto& column = data["genealogy"]["columns"][b];
    EXPECT_EQ(column["parent"].get<std::vector<std::uint32_t>>(), trace.batches[b - 1].ancestor);
    EXPECT_EQ(column["batch"], b);
  }
}

TEST(Report, TextsOfTheGenealogyAddUpToTheResult) {
  const Trace trace = synthetic_trace({.particles = 16, .batches = 8});

  const json columns = data_of(page_of(trace))["genealogy"]["columns"];

  for (std::size_t i = 0; i < 16; ++i) {
    std::string text;
    std::size_t k = i;
    for (std::size_t c = columns.size(); c-- > 0;) {
      text.insert(0, columns[c]["text"][k].get<std::string>());
      if (c > 0) k = columns[c]["parent"][k];
    }
    EXPECT_EQ(text, trace.result->texts[i]);
  }
}

TEST(Report, ChangesOfTheLogWeightAreThoseOfTheBatch) {
  const Trace trace = synthetic_trace({.particles = 16, .batches = 8});

  const json columns = data_of(page_of(trace))["genealogy"]["columns"];

  for (std::size_t b = 1; b < columns.size(); ++b) {
    for (std::size_t i = 0; i < 16; ++i) {
      const auto& before = trace.batches[b - 1];
      const double change = trace.batches[b].log_weight[i] - (before.resampled ? before.log_z : before.log_weight[i]);
      if (!std::isfinite(change)) continue;
      EXPECT_NEAR(columns[b]["change"][i].get<double>(), change, 1e-3 * std::abs(change) + 1e-9);
    }
  }
}

TEST(Report, IsOneFileThatAsksForNothing) {
  const std::string page = page_of(synthetic_trace({}));

  for (const char* reference :
       {"http:", "https:", "//cdn", "@import", "url(", " src=", "<link rel=\"stylesheet", "fetch("})
    EXPECT_FALSE(says(page, reference)) << reference;
  EXPECT_TRUE(says(page, "default-src 'none'"));
  EXPECT_EQ(count(page, "<script"), 2U);
}

TEST(Report, HostileTextsStayTexts) {
  const std::string evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'<!--";
  Trace trace = synthetic_trace({.particles = 6, .batches = 3});
  trace.info.prompt = trace.info.command_line = trace.info.model_id = trace.info.options_json = evil;
  trace.info.device = trace.info.start_time = trace.info.shoal_version = trace.info.build = evil;
  trace.info.potentials = {evil, evil};
  trace.result->best = trace.result->posterior[0].text = trace.result->finish_reason = evil;
  for (auto& [token, bytes] : trace.token_bytes) bytes = evil;

  const std::string page = html_report(trace, {evil, false});

  EXPECT_EQ(count(page, "<script"), 2U);
  EXPECT_EQ(count(page, "</script"), 2U);
  EXPECT_EQ(count(page, "<img"), 0U);
  EXPECT_EQ(count(page, "<!--"), 0U);
  EXPECT_EQ(data_of(page)["genealogy"]["potentials"][0], evil);
}

TEST(Report, RandomValuesGiveAPage) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Trace trace;
    trace.info = testing::sample_info();
    for (std::uint32_t b = 0; b < 5; ++b) {
      trace.batches.push_back(testing::sample_batch(trace.info, seed, b));
      for (auto& ancestor : trace.batches.back().ancestor) ancestor %= 7;
    }
    trace.batches[1].time_s = trace.batches[2].ess = std::numeric_limits<double>::quiet_NaN();
    trace.batches[2].log_z = std::numeric_limits<double>::infinity();
    trace.batches[3].log_weight[2] = std::numeric_limits<double>::quiet_NaN();
    const std::string page = page_of(trace);
    EXPECT_NO_THROW(data_of(page));
    EXPECT_FALSE(says(page, "nan")) << page.substr(page.find("nan") - 200, 300);
  }
}

TEST(Report, OfAnUnfinishedRunSaysSoAndShowsThePosteriorSoFar) {
  const Trace trace = synthetic_trace({.particles = 30, .batches = 4, .with_result = false});

  const std::string killed = page_of(trace, false);
  const std::string running = page_of(trace, true);

  EXPECT_TRUE(says(killed, "<strong>This report is partial.</strong>"));
  EXPECT_TRUE(says(killed, "the run was killed, or it is still going on another machine"));
  EXPECT_TRUE(says(running, "The run is still going: the 4 batches completed so far."));
  for (const std::string& page : {killed, running}) {
    EXPECT_TRUE(says(page, "Posterior so far"));
    EXPECT_TRUE(says(page, "Most probable so far"));
    EXPECT_LT(page.find("class=\"notice\""), page.find("class=\"prompt\""));
  }
}

TEST(Report, OfARunWithoutAnyBatchIsAPage) {
  const std::string page = page_of(synthetic_trace({.batches = 0, .with_result = false}));

  EXPECT_TRUE(says(page, "No batch was completed."));
  EXPECT_TRUE(data_of(page)["genealogy"].is_null());
}

TEST(Report, OfAnExtinctRunNamesThePotential) {
  const std::string page = page_of(synthetic_trace({.particles = 10, .batches = 3, .extinct_at = 2}));

  EXPECT_TRUE(says(page,
                   "<strong>The run is extinct.</strong> Every particle has weight zero; the last were killed by "
                   "<b>regex</b> in batch 2."));
  EXPECT_TRUE(says(page, "No text has positive weight."));
  EXPECT_TRUE(says(page, "No error can be given for the last batch</strong> (every weight is zero)"));
}

TEST(Report, OfAResumedRunSaysWhereTheTraceBegins) {
  const std::string page = page_of(synthetic_trace({.particles = 10, .batches = 3, .first_batch = 7}));

  EXPECT_TRUE(says(page, "the trace begins with batch 7"));
  EXPECT_EQ(data_of(page)["genealogy"]["starts"], false);
  EXPECT_EQ(data_of(page)["genealogy"]["columns"][0]["known"], false);
}

TEST(Report, WithoutTheTokensTextShowsIds) {
  const std::string page =
      page_of(synthetic_trace({.particles = 5, .batches = 2, .with_result = false, .with_vocabulary = false}));

  EXPECT_TRUE(says(page, "does not hold the tokens’ text"));
  EXPECT_TRUE(says(page, "]["));
}

TEST(Report, OfParticlesThatAreNotListedShowsBatchesAndThePosterior) {
  for (const bool with_result : {true, false}) {
    Trace trace = synthetic_trace({.particles = 20, .batches = 4, .with_result = with_result});
    trace.info.lists_particles = false;
    for (smc::BatchRecord& batch : trace.batches) {
      batch.log_weight.clear();
      batch.ancestor.clear();
      batch.rank.clear();
      batch.token.clear();
      batch.finished.clear();
      batch.potential.clear();
    }
    if (with_result) trace.result->count.assign(trace.result->texts.size(), 3);

    const std::string page = page_of(trace);

    EXPECT_TRUE(data_of(page)["genealogy"].is_null());
    EXPECT_TRUE(says(page, "Effective sample size"));
    EXPECT_FALSE(says(page, "Surviving lineages"));
    EXPECT_EQ(says(page, "the texts come with the result"), !with_result);
    EXPECT_EQ(says(page, "3 particles"), with_result);
  }
}

TEST(Report, OfAHundredThousandParticlesIsSmall) {
  const Trace trace = synthetic_trace({.particles = 100'000, .batches = 6, .ranks = 8});

  const std::string page = page_of(trace);
  const json data = data_of(page);

  EXPECT_LT(page.size(), 1'000'000U);
  EXPECT_TRUE(says(page, "The heaviest lineages of 100,000 particles"));
  for (std::size_t c = 1; c < 6; ++c) {  // the lines are those of the trace
    const auto& column = data["genealogy"]["columns"][c];
    const auto& before = data["genealogy"]["columns"][c - 1];
    for (std::size_t k = 0; k < column["id"].size(); ++k) {
      const std::uint32_t id = column["id"][k];
      EXPECT_EQ(before["id"][column["parent"][k].get<std::size_t>()], trace.batches[c - 1].ancestor[id]);
    }
  }
}

TEST(Report, OfManyBatchesShowsSomeOfThem) {
  const Trace trace = synthetic_trace({.particles = 100, .batch_size = 1, .batches = 2000, .ranks = 1});

  const std::string page = page_of(trace);
  const json data = data_of(page);

  EXPECT_LT(page.size(), 5'000'000U);
  EXPECT_TRUE(says(page, "500 of 2,000 batches are shown"));
  EXPECT_EQ(data["batches"]["number"].back(), 1999);
  EXPECT_LE(data["genealogy"]["columns"].size(), 120U);
}

TEST(Report, OfLongTextsStaysSmall) {
  Trace trace = synthetic_trace({.particles = 100, .batches = 20});
  trace.info.prompt = std::string(3'000'000, 'p');
  for (auto& entry : trace.result->posterior) entry.text += std::string(1'000'000, 'x');
  for (auto& [token, bytes] : trace.token_bytes) bytes = std::string(2'000, 'y');

  EXPECT_LT(page_of(trace).size(), 5'000'000U);
}

TEST(Report, RefusesDamagedTraces) {
  Trace trace = synthetic_trace({});
  trace.batches[1].ancestor[3] = 50;
  EXPECT_THROW(page_of(trace), IoError);
}

TEST(Report, KnowsWhetherARunIsWriting) {
  const testing::ScratchFolder folder;
  const Trace trace = synthetic_trace({.particles = 4, .batches = 2, .with_result = false});
  testing::write_trace_file(folder / "t.h5", trace);
  EXPECT_FALSE(is_being_written(folder / "t.h5"));

  const TraceWriter writer(folder / "t.h5", trace.info);
  EXPECT_TRUE(is_being_written(folder / "t.h5"));
}

TEST(Report, OfATraceFileIsThatOfTheRun) {
  const testing::ScratchFolder folder;
  const Trace trace = synthetic_trace({.particles = 12, .batches = 5});

  testing::write_trace_file(folder / "t.h5", trace);

  EXPECT_EQ(page_of(read_trace(folder / "t.h5")), page_of(trace));
}

}  // namespace
}  // namespace shoal::trace
