#include <boost/program_options/value_semantic.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/generate_options.hpp"
#include "app/input_text.hpp"
#include "app/subcommands.hpp"
#include "base/message.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;
using Json = nlohmann::ordered_json;

struct ScoreOptions {
  std::string model = "minnow";
  TextInput input;
  std::string ids;
  std::string dtype = "auto";
  std::string kv_dtype = "auto";
  std::string isa = "auto";
  std::string device = "auto";
  bool json = false;
};

OptionSet option_set(ScoreOptions* o) {
  OptionSet set;
  set.shown.add_options()("model", po::value(&o->model)->value_name("MODEL"),
                          "checkpoint directory, hub id, 'minnow' (default) or tabular:FILE");
  add_text_options(&set, &o->input);
  set.shown.add_options()("ids", po::value(&o->ids)->value_name("1,2,3"), "token ids instead of a text")(
      "device", po::value(&o->device)->value_name("NAME"), "auto, cpu or cuda (auto)")(
      "dtype", po::value(&o->dtype)->value_name("TYPE"), "auto, f32, bf16 or int8 (auto)")(
      "kv-dtype", po::value(&o->kv_dtype)->value_name("TYPE"), kv_dtype_help)(
      "isa", po::value(&o->isa)->value_name("NAME"), isa_help)("json", po::bool_switch(&o->json),
                                                               "print one JSON object")("help,h", "show this text");
  return set;
}

agent::DeviceWish wish_of(const ScoreOptions& options) {
  return agent::device_wish(options.device, false, options.model, parse_dtype(options.dtype),
                            parse_kv_dtype(options.kv_dtype));
}

struct Scored {
  std::vector<TokenId> ids;
  std::vector<std::string> pieces;
  std::vector<double> logprobs;  ///< NaN where nothing goes before
};

Scored score(const LanguageModel& model, const ScoreOptions& options) {
  Scored scored;
  scored.ids = options.ids.empty() ? model.encode(options.input.read(), SpecialTokens::yes)
                                   : parse_ids(options.ids, model.summary().vocabulary_size, "ids");
  if (scored.ids.empty()) throw UsageError("nothing to score (the text is empty) give a longer text");
  for (const TokenId id : scored.ids) scored.pieces.push_back(model.piece(id));
  scored.logprobs = model.score(scored.ids);
  return scored;
}

double total_of(const Scored& scored) {
  double total = 0.0;
  for (const double lp : scored.logprobs) {
    if (!std::isnan(lp)) total += lp;
  }
  return total;
}

void print_scored_json(const Scored& scored) {
  Json json = {
      {"ids", Json::array()}, {"pieces", scored.pieces}, {"logprobs", Json::array()}, {"total", total_of(scored)}};
  for (const TokenId id : scored.ids) json["ids"].push_back(id.value());
  for (const double lp : scored.logprobs) json["logprobs"].push_back(std::isnan(lp) ? Json(nullptr) : Json(lp));
  std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_scored_table(const Scored& scored) {
  std::printf("%8s  %12s  %s\n", "id", "log p (nats)", "piece");
  for (std::size_t i = 0; i < scored.ids.size(); ++i) {
    const double lp = scored.logprobs[i];
    std::printf("%8d  ", scored.ids[i].value());
    std::isnan(lp) ? std::printf("%12s", "-") : std::printf("%12.6f", lp);
    std::printf("  %s\n", Json(scored.pieces[i]).dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  }
  std::printf("%8s  %12.6f\n", "total", total_of(scored));
}

}  // namespace

int score_command(cluster::World& world, const Arguments& arguments) {
  ScoreOptions options;
  const bool root = world.rank() == Rank{0};
  const Parsed parsed = world.together([&] {
    const Parsed result = parse(arguments, option_set(&options), "score");
    if (result == Parsed::help_wanted) return result;
    (void)wish_of(options);
    force_isa(parse_isa(options.isa));
    if (!options.ids.empty() && options.input.given())
      throw UsageError("both --ids and a text (only one is scored) give one");
    if (options.ids.empty()) (void)options.input.read();
    return result;
  });
  if (parsed == Parsed::help_wanted) {
    if (root)
      std::cout << "Usage: shoal score --text TEXT [options]\n\nLog-probability of a text under the model, per token, "
                   "in nats.\n\n"
                << option_set(&options).shown;
    return 0;
  }
  LoadOptions load{.dtype = parse_dtype(options.dtype), .kv_dtype = parse_kv_dtype(options.kv_dtype)};
  const agent::DeviceChoice device = agent::choose_device(wish_of(options), options.model, load, &world);
  load.device = device.device;
  if (root && !device.note.empty()) print_message(device.note);
  world.together([&] {
    if (!root) return;
    const auto model = load_model(options.model, load);
    const Scored scored = score(*model, options);
    options.json ? print_scored_json(scored) : print_scored_table(scored);
  });
  return 0;
}

}  // namespace shoal::app
