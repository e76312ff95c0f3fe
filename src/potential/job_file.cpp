#include "potential/job_file.hpp"

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "potential/json_fields.hpp"
#include "potential/quote.hpp"
#include "shoal/error.hpp"

namespace shoal {
namespace {

using Json = nlohmann::json;

constexpr int deepest_nesting = 20;

constexpr const char* choice = "choose one of regex, style, length, required, forbidden, constraint";

/// The text of "type", read before the keys that it allows are known.
std::string type_of(const JsonFields& fields) {
  if (!fields.has("type")) throw UsageError("missing key 'type' in " + fields.where() + " (it is needed) " + choice);
  return fields.text("type");
}

/// Gives each potential of one list its own name.
class Names {
 public:
  explicit Names(const Json& list) {
    for (const auto& item : list)
      if (item.contains("name") && item.at("name").is_string()) given_.insert(item.at("name").get<std::string>());
  }

  std::string choose(const JsonFields& fields, const std::string& type) {
    if (fields.has("name")) return given(fields);
    std::string name = type;
    for (int i = 2; given_.contains(name) || !used_.insert(name).second; ++i) name = type + "_" + std::to_string(i);
    return name;
  }

 private:
  std::string given(const JsonFields& fields) {
    std::string name = fields.text("name");
    if (name.empty()) fields.refuse("name", "it is empty", "give one or more characters");
    if (!used_.insert(name).second) fields.refuse("name", quote(name) + " is used twice", "choose another name");
    return name;
  }

  std::set<std::string> given_;
  std::set<std::string> used_;
};

std::vector<PotentialPtr> list_from(const Json& list, const std::string& where, int depth);

PotentialPtr length_from(const Json& json, const std::string& where, std::string name) {
  const JsonFields fields(json, where, {"type", "name", "min", "max", "unit"});
  using Unit = std::pair<const char*, LengthUnit>;
  constexpr std::array units{Unit{"bytes", LengthUnit::bytes}, Unit{"characters", LengthUnit::characters},
                             Unit{"words", LengthUnit::words}, Unit{"sentences", LengthUnit::sentences}};
  const std::string unit_name = fields.text("unit");
  const int min = fields.has("min") ? fields.integer("min") : 0;
  const int max = fields.integer("max");
  for (const auto& [known, unit] : units)
    if (unit_name == known) return length_potential(min, max, unit, std::move(name));
  fields.refuse("unit", quote(unit_name) + " is not known", "choose one of bytes, characters, words, sentences");
}

PotentialPtr required_from(const Json& json, const std::string& where, std::string name) {
  const JsonFields fields(json, where, {"type", "name", "elements", "penalty"});
  const double penalty =
      fields.has("penalty") ? fields.number_or_inf("penalty") : std::numeric_limits<double>::infinity();
  return required_elements_potential(fields.texts("elements"), penalty, std::move(name));
}

PotentialPtr constraint_from(const Json& json, const std::string& where, std::string name, int depth) {
  const JsonFields fields(json, where, {"type", "name", "parts"});
  if (depth >= deepest_nesting) fields.refuse("parts", "constraints nested too deeply", "use fewer levels");
  return constraint_potential(list_from(fields.array("parts"), where + ".parts", depth + 1), std::move(name));
}

PotentialPtr potential_from(const Json& json, const std::string& where, Names* names, int depth) {
  const JsonFields any(json, where);
  const std::string type = type_of(any);
  std::string name = names->choose(any, type);
  if (type == "regex") {
    const JsonFields fields(json, where, {"type", "name", "pattern"});
    return regex_potential(fields.text("pattern"), std::move(name));
  }
  if (type == "style") {
    const JsonFields fields(json, where, {"type", "name", "style"});
    return style_potential(load_style(fields.text("style")), std::move(name));
  }
  if (type == "length") return length_from(json, where, std::move(name));
  if (type == "required") return required_from(json, where, std::move(name));
  if (type == "forbidden") {
    const JsonFields fields(json, where, {"type", "name", "strings"});
    return forbidden_content_potential(fields.texts("strings"), std::move(name));
  }
  if (type == "constraint") return constraint_from(json, where, std::move(name), depth);
  any.refuse("type", quote(type) + " is not known", choice);
}

/// Errors that know nothing of the file, such as those of a pattern, are told where they belong.
PotentialPtr located(const Json& json, const std::string& where, Names* names, int depth) {
  try {
    return potential_from(json, where, names, depth);
  } catch (const UsageError& error) {
    const std::string line = error.what();
    if (line.find(where) != std::string::npos) throw;
    throw UsageError(where + ": " + line);
  }
}

std::vector<PotentialPtr> list_from(const Json& list, const std::string& where, int depth) {
  std::vector<PotentialPtr> potentials;
  Names names(list);
  for (const auto& item : list)
    potentials.push_back(located(item, where + "[" + std::to_string(potentials.size()) + "]", &names, depth));
  return potentials;
}

}  // namespace

std::vector<PotentialPtr> potentials_from_json(const std::string& json_text) {
  const Json json = parse_json(json_text, "potentials file");
  const JsonFields fields(json, "potentials file", {"potentials"});
  return list_from(fields.array("potentials"), "potentials", 0);
}

}  // namespace shoal
