#include <boost/program_options/value_semantic.hpp>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/command_line.hpp"
#include "app/input_text.hpp"
#include "app/subcommands.hpp"
#include "shoal/error.hpp"
#include "shoal/language_model.hpp"

namespace shoal::app {
namespace {

namespace po = boost::program_options;
using Json = nlohmann::ordered_json;

struct TokenizeOptions {
  std::string model = "minnow";
  TextInput input;
  std::string decode;
  bool no_special = false;
  bool json = false;
};

OptionSet option_set(TokenizeOptions* o) {
  OptionSet set;
  set.shown.add_options()("model", po::value(&o->model)->value_name("MODEL"),
                          "checkpoint directory, hub id, 'minnow' (default) or tabular:FILE");
  add_text_options(&set, &o->input);
  set.shown.add_options()("decode", po::value(&o->decode)->value_name("1,2,3"), "the text of these ids instead")(
      "no-special", po::bool_switch(&o->no_special), "add no special tokens (such as a beginning-of-text token)")(
      "json", po::bool_switch(&o->json), "print one JSON object")("help,h", "show this text");
  return set;
}

std::string quoted(const std::string& text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

void print_decoded(const LanguageModel& model, const TokenizeOptions& options) {
  const std::string text = model.decode(parse_ids(options.decode, model.summary().vocabulary_size, "decode"));
  if (options.json)
    std::cout << Json{{"text", text}}.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  else
    std::cout << text << '\n';
}

void print_tokens(const LanguageModel& model, const TokenizeOptions& options) {
  const std::string text = options.input.read();
  const auto ids = model.encode(text, options.no_special ? SpecialTokens::no : SpecialTokens::yes);
  Json json = {{"ids", Json::array()}, {"pieces", Json::array()}};
  for (const TokenId id : ids) {
    json["ids"].push_back(id.value());
    json["pieces"].push_back(model.piece(id));
    if (!options.json) std::printf("%8d  %s\n", id.value(), quoted(model.piece(id)).c_str());
  }
  if (options.json) std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace

int tokenize_command(cluster::World& world, const Arguments& arguments) {
  TokenizeOptions options;
  const bool root = world.rank() == Rank{0};
  const Parsed parsed = world.together([&] {
    const Parsed result = parse(arguments, option_set(&options), "tokenize");
    if (result == Parsed::help_wanted) return result;
    if (!options.decode.empty() && options.input.given())
      throw UsageError("both --decode and a text (only one is done) give one");
    if (options.decode.empty()) (void)options.input.read();
    return result;
  });
  if (parsed == Parsed::help_wanted) {
    if (root)
      std::cout << "Usage: shoal tokenize --text TEXT [options]\n\nToken ids and pieces of a text.\n\n"
                << option_set(&options).shown;
    return 0;
  }
  world.together([&] {
    if (!root) return;
    const auto model = load_model(options.model);
    options.decode.empty() ? print_tokens(*model, options) : print_decoded(*model, options);
  });
  return 0;
}

}  // namespace shoal::app
