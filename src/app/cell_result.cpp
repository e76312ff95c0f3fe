#include "app/cell_result.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "app/exact_posterior.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

double number(const Json& json) { return json.is_null() ? none : json.get<double>(); }
Json number_or_null(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

struct WeighedAnswer {
  double probability = 0.0;
  double log_potential = 0.0;
  bool finished = false;
  std::string text;
};

/// Particles with positive weight, their probabilities summing to 1.
std::vector<WeighedAnswer> answers_of(const Json& result) {
  std::vector<WeighedAnswer> answers;
  const double log_z = number(result.at("log_z"));
  for (const Json& particle : result.at("particles")) {
    if (particle.at("log_weight").is_null()) continue;
    const double count = particle.value("count", 1.0);
    answers.push_back({count * std::exp(number(particle.at("log_weight")) - log_z),
                       number(particle.at("log_potential")), particle.at("finished").get<bool>(),
                       particle.at("text").get<std::string>()});
  }
  const double total = std::accumulate(answers.begin(), answers.end(), 0.0,
                                       [](double sum, const WeighedAnswer& a) { return sum + a.probability; });
  for (WeighedAnswer& answer : answers) answer.probability /= total;
  return answers;
}

/// log p(answer | prompt) under @p scorer, in nats.
double score(const LanguageModel& scorer, std::span<const TokenId> prompt, const std::string& text) {
  std::vector<TokenId> ids(prompt.begin(), prompt.end());
  const auto answer = scorer.encode(text, SpecialTokens::no);
  ids.insert(ids.end(), answer.begin(), answer.end());
  const std::vector<double> logprobs = scorer.score(ids);
  const auto first = static_cast<std::ptrdiff_t>(prompt.size());
  return std::accumulate(logprobs.begin() + first, logprobs.end(), 0.0);
}

double mean_score(const Cell& cell, const std::vector<WeighedAnswer>& answers, ModelShelf* shelf) {
  const auto scorer = shelf->get(cell.judges.scorer, "auto");
  GenerateOptions options = cell.job.options;
  if (!scorer->has_chat_template()) options.system.clear();
  const auto prompt = encode_prompt(*scorer, options);
  std::map<std::string, double> probability;
  for (const WeighedAnswer& answer : answers) probability[answer.text] += answer.probability;
  double sum = 0.0;
  for (const auto& [text, p] : probability)
    if (!text.empty()) sum += p * score(*scorer, prompt, text) / static_cast<double>(text.size());
  return sum;
}

double distance_to_exact(const Cell& cell, const Json& result, ModelShelf* shelf) {
  const GenerateOptions& options = cell.job.options;
  const auto model = shelf->get(options.model, options.dtype, options.kv_dtype);
  const auto exact = exact_posterior(*model, encode_prompt(*model, options), cell.job.potentials, options.smc);
  std::map<std::string, double> estimate;
  for (const Json& entry : result.at("posterior"))
    estimate[entry.at("text").get<std::string>()] += number(entry.at("probability"));
  return total_variation(exact, estimate);
}

/// In the order of figures().
std::vector<double> figures_of(const Cell& cell, const Json& result, ModelShelf* shelf) {
  const Json& timing = result.at("timing");
  const auto time = [&](const char* name) { return number(timing.at(name)); };
  const auto answers = answers_of(result);
  double log_potential = answers.empty() ? none : 0.0;
  double unsatisfied = answers.empty() ? 1.0 : 0.0;
  for (const WeighedAnswer& a : answers) {
    log_potential += a.probability * a.log_potential;
    if (!a.finished || !std::isfinite(a.log_potential)) unsatisfied += a.probability;
  }
  const bool scored = !cell.judges.scorer.empty() && !answers.empty();
  return {time("wall_s"),
          time("token_steps") / time("wall_s"),
          time("particle_tokens_per_s"),
          number(result.at("ess")),
          number(result.at("log_z")),
          cell.judges.exact_posterior && !answers.empty() ? distance_to_exact(cell, result, shelf) : none,
          log_potential,
          1.0 - unsatisfied,
          scored ? mean_score(cell, answers, shelf) : none,
          time("token_steps"),
          time("particle_tokens"),
          time("decode_s"),
          time("potential_s"),
          time("reduce_s"),
          time("migrate_s")};
}

}  // namespace

const std::vector<Figure>& figures() {
  static const std::vector<Figure> list{
      {"time_s", "Time (s)", "s", "wall time of the run, without loading the model"},
      {"tokens_per_s", "Tokens/s", "1/s", "token steps per second: how fast an answer grows"},
      {"particle_tokens_per_s", "Particle-tokens/s", "1/s", "tokens drawn per second, over all particles"},
      {"ess", "ESS", "1", "effective sample size at the end"},
      {"log_z", "log Z-hat", "nat", "estimate of the log marginal likelihood"},
      {"total_variation", "TV to exact", "1", "total variation of the weighted answers to the exact posterior"},
      {"log_potential", "Log-potential", "nat", "weighted mean over the answers of the potentials' summed log"},
      {"satisfied", "Satisfied", "1", "share of the weight on finished answers that no potential rules out"},
      {"scorer_logprob", "Scorer (nat/byte)", "nat/byte",
       "weighted mean log-probability of the answers, per byte, "
       "under the held-out scorer"},
      {"token_steps", nullptr, "1", "tokens of the longest answer"},
      {"particle_tokens", nullptr, "1", "tokens drawn, over all particles"},
      {"decode_s", nullptr, "s", "forward passes, rank 0"},
      {"potential_s", nullptr, "s", "masks, draws and potentials, rank 0"},
      {"reduce_s", nullptr, "s", "allreduce and waiting for slower ranks, rank 0"},
      {"migrate_s", nullptr, "s", "migration not hidden behind decoding, and its plan, rank 0"}};
  return list;
}

CellResult judge(const Cell& cell, const std::string& text, ModelShelf* shelf) {
  const Json json = Json::parse(text);
  return {.finish_reason = json.at("finish_reason").get<std::string>(),
          .response = json.at("response").get<std::string>(),
          .figures = figures_of(cell, json, shelf),
          .workers = json.at("timing").at("workers").get<int>(),
          .exit_code = 0,
          .error = {},
          .command = {}};
}

std::string to_json(const CellResult& result, const std::string& options) {
  Json values = Json::object();
  for (std::size_t i = 0; i < figures().size(); ++i) values[figures()[i].name] = number_or_null(result.figures[i]);
  return Json{{"cell", options},
              {"command", result.command},
              {"finish_reason", result.finish_reason},
              {"workers", result.workers},
              {"exit_code", result.exit_code},
              {"response", result.response},
              {"figures", std::move(values)}}
             .dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

std::optional<CellResult> cell_result_from_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    CellResult result{.finish_reason = json.at("finish_reason").get<std::string>(),
                      .response = json.at("response").get<std::string>(),
                      .figures = {},
                      .workers = json.at("workers").get<int>(),
                      .exit_code = json.at("exit_code").get<int>(),
                      .error = {},
                      .command = json.at("command").get<std::string>()};
    for (const Figure& figure : figures()) result.figures.push_back(number(json.at("figures").at(figure.name)));
    return result;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace shoal::app
