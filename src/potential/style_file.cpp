// Styles by name or from a user's JSON file.
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "potential/json_fields.hpp"
#include "potential/quote.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

std::string read_style_file(const std::string& file) {
  const std::string names = "conversational, formal, technical, creative";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored))
    throw UsageError("bad style " + quote_path(file) + " (neither a built-in style nor a file) choose one of " + names +
                     " or give a JSON file");
  std::ifstream in(file, std::ios::binary);
  if (std::filesystem::is_directory(file, ignored) || !in)
    throw UsageError("bad style " + quote_path(file) + " (the file cannot be read) give a readable JSON file");
  std::string text(std::istreambuf_iterator<char>(in), {});
  return text;
}

StylePattern pattern_from(const nlohmann::json& json, const std::string& where) {
  const JsonFields fields(json, where, {"pattern", "log_weight", "max_count"});
  StylePattern pattern{fields.text("pattern"), fields.number("log_weight")};
  if (fields.has("max_count")) pattern.max_count = fields.integer("max_count");
  return pattern;
}

Style style_from_file(const std::string& file) {
  const std::string where = "style file " + quote_path(file);
  const auto json = parse_json(read_style_file(file), where);
  const JsonFields fields(json, where, {"name", "patterns"});
  Style style{fields.has("name") ? fields.text("name") : file, {}};
  for (const auto& item : fields.array("patterns"))
    style.patterns.push_back(pattern_from(item, where + " patterns[" + std::to_string(style.patterns.size()) + "]"));
  if (style.patterns.empty()) fields.refuse("patterns", "it is empty", "give at least one pattern");
  return style;
}

}  // namespace

Style load_style(const std::string& name_or_file) {
  using BuiltIn = std::pair<const char*, Style (*)()>;
  constexpr std::array built_in{BuiltIn{"conversational", conversational_style}, BuiltIn{"formal", formal_style},
                                BuiltIn{"technical", technical_style}, BuiltIn{"creative", creative_style}};
  for (const auto& [name, make] : built_in)
    if (name_or_file == name) return make();
  return style_from_file(name_or_file);
}

}  // namespace shoal
