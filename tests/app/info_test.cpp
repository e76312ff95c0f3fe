// `shoal info --model` and `--isa`, as a user sees them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "app/program.hpp"

namespace shoal::test {
namespace {

using nlohmann::json;

json info_of(const std::vector<std::string>& options) {
  std::vector<std::string> arguments{"info", "--json"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  const ProgramResult result = run_shoal(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return json::parse(result.out);
}

TEST(Info, TellsAModelsPartsAndWhatFits) {
  const json model = info_of({"--model", "minnow"})["model"];

  for (const char* type : {"f32", "bf16", "int8"}) {
    const json& t = model["types"][type];
    std::uint64_t parameters = 0, bytes = 0;
    for (const char* part : {"embedding", "attention", "mlp", "head"}) {
      parameters += t["parts"][part]["parameters"].get<std::uint64_t>();
      bytes += t["parts"][part]["bytes"].get<std::uint64_t>();
    }
    EXPECT_EQ(parameters, 4656384U);
    EXPECT_EQ(bytes, t["weight_bytes"]);
    EXPECT_GT(t["particles_that_fit"]["128"], t["particles_that_fit"]["1024"]);
    EXPECT_GT(t["particles_that_fit"]["1024"], 0);
    EXPECT_LT(t["int8_kv"]["kv_bytes_per_token"], t["kv_bytes_per_token"]);
    EXPECT_GT(t["int8_kv"]["particles_that_fit"]["128"], t["particles_that_fit"]["128"]);
  }
  EXPECT_EQ(model["parameters"], 4656384);
  EXPECT_EQ(model["types"]["f32"]["kv_bytes_per_token"], 2 * model["types"]["bf16"]["kv_bytes_per_token"].get<int>());
}

TEST(Info, AsTextHasATableOfThem) {
  const ProgramResult result = run_shoal({"info", "--model", "minnow"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"4656384", "embedding", "in int8", "of 128 tokens", "free on this node", "with --kv-dtype int8"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " is missing in:\n" << result.out;
}

TEST(Info, SaysWhichModelItCannotFind) {
  const ProgramResult result = run_shoal({"info", "--model", "/nonexistent/model"});

  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("/nonexistent/model"), std::string::npos) << result.err;
}

TEST(Isa, ForcedIsUsedRecordedAndCloseToTheBest) {
  const std::string best = info_of({})["isa"];
  const auto total = [](const std::string& isa, const std::string& dtype) {
    const ProgramResult result = run_shoal(
        {"score", "--text", "A particle filter is a Monte Carlo method.", "--isa", isa, "--dtype", dtype, "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out)["total"].get<double>();
  };
  const double expected = total("auto", "f32");
  for (const std::string isa : {"baseline", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"}) {
    EXPECT_EQ(info_of({"--isa", isa})["isa"], isa);
    EXPECT_NEAR(total(isa, "f32"), expected, 1e-4 * std::abs(expected)) << isa;
    EXPECT_NEAR(total(isa, "bf16"), expected, 1e-2 * std::abs(expected)) << isa;
    if (isa == best) break;
  }
}

TEST(Isa, StandsInTheTrace) {
  const TemporaryFolder folder;
  const std::string trace = folder.path("run.h5"), page = folder.path("run.html");
  ASSERT_EQ(run_shoal({"generate", "--prompt", "Hello.", "--particles", "3", "--max-tokens", "5", "--isa", "baseline",
                       "--trace", trace, "--quiet"})
                .exit_code,
            0);
  ASSERT_EQ(run_shoal({"report", trace, "-o", page}).exit_code, 0);

  EXPECT_NE(read_all(page).find("cpu, baseline"), std::string::npos);
}

}  // namespace
}  // namespace shoal::test
