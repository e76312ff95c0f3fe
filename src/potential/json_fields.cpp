#include "potential/json_fields.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "potential/quote.hpp"
#include "shoal/error.hpp"

namespace shoal {
namespace {

/// How a user would call the type; nlohmann's name except for the two kinds of numbers.
std::string type_of(const nlohmann::json& value) {
  if (value.is_number_integer()) return "a whole number";
  if (value.is_null()) return "null";
  if (value.is_array() || value.is_object()) return std::string("an ") + value.type_name();
  return std::string("a ") + value.type_name();
}

std::string position_in(const std::string& text, std::size_t byte) {
  const std::string before = text.substr(0, byte == 0 ? 0 : byte - 1);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t line_start = before.rfind('\n') == std::string::npos ? 0 : before.rfind('\n') + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(before.size() - line_start + 1);
}

std::string listed(std::initializer_list<const char*> names) {
  std::string out;
  for (const char* name : names) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

/// Refuses an object that names a key twice, of which the parser would silently drop the first.
class UniqueKeys {
 public:
  explicit UniqueKeys(const std::string& file_kind) : file_kind_(file_kind) {}

  void see(nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) open_.emplace_back();
    if (event == Event::object_end) open_.pop_back();
    if (event == Event::key && !open_.back().insert(parsed.get<std::string>()).second)
      throw UsageError("bad " + file_kind_ + " (key " + quote(parsed.get<std::string>()) +
                       " appears twice in one object) remove one of them");
  }

 private:
  const std::string& file_kind_;
  std::vector<std::set<std::string>> open_;  ///< keys of the objects around the parser's place
};

}  // namespace

nlohmann::json parse_json(const std::string& text, const std::string& file_kind) {
  UniqueKeys keys(file_kind);
  try {
    return nlohmann::json::parse(text, [&keys](int, auto event, const nlohmann::json& parsed) {
      keys.see(event, parsed);
      return true;
    });
  } catch (const nlohmann::json::parse_error& error) {
    throw UsageError("bad " + file_kind + " (not JSON at " + position_in(text, error.byte) +
                     ") check quotes, commas and brackets there");
  } catch (const nlohmann::json::out_of_range&) {
    throw UsageError("bad " + file_kind + " (a number is too large) give numbers below 1e308");
  }
}

JsonFields::JsonFields(const nlohmann::json& value, std::string where) : object_(&value), where_(std::move(where)) {
  if (!value.is_object())
    throw UsageError("bad " + where_ + " (" + type_of(value) + " where an object is needed) write {...}");
}

JsonFields::JsonFields(const nlohmann::json& value, std::string where, std::initializer_list<const char*> known)
    : JsonFields(value, std::move(where)) {
  for (const auto& item : value.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end())
      throw UsageError("unknown key " + quote(item.key()) + " in " + where_ + " (known: " + listed(known) +
                       ") remove or rename it");
  }
}

bool JsonFields::has(const std::string& key) const { return object_->contains(key); }

const nlohmann::json& JsonFields::value(const std::string& key) const {
  const auto found = object_->find(key);
  if (found == object_->end()) throw UsageError("missing key '" + key + "' in " + where_ + " (it is needed) add it");
  return *found;
}

std::string JsonFields::text(const std::string& key) const {
  const auto& found = value(key);
  if (!found.is_string()) refuse_type(key, found, "a string");
  return found.get<std::string>();
}

int JsonFields::integer(const std::string& key) const {
  const auto& found = value(key);
  if (!found.is_number_integer()) refuse_type(key, found, "a whole number");
  const bool too_large = found.is_number_unsigned()
                             ? found.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<int>::max()}
                             : found.get<std::int64_t>() < std::numeric_limits<int>::min();
  if (too_large) refuse(key, "out of range", "give a number of at most 2147483647");
  return found.get<int>();
}

double JsonFields::number(const std::string& key) const {
  const auto& found = value(key);
  if (!found.is_number()) refuse_type(key, found, "a number");
  return found.get<double>();
}

double JsonFields::number_or_inf(const std::string& key) const {
  const auto& found = value(key);
  if (found == "inf") return std::numeric_limits<double>::infinity();
  if (!found.is_number()) refuse_type(key, found, "a number or \"inf\"");
  const double number = found.get<double>();
  if (number < 0) refuse(key, "negative", "give 0 or more, or \"inf\"");
  return number;
}

const nlohmann::json& JsonFields::array(const std::string& key) const {
  const auto& found = value(key);
  if (!found.is_array()) refuse_type(key, found, "an array");
  return found;
}

std::vector<std::string> JsonFields::texts(const std::string& key) const {
  std::vector<std::string> all;
  for (const auto& item : array(key)) {
    if (!item.is_string()) refuse_type(key + "[" + std::to_string(all.size()) + "]", item, "a string");
    all.push_back(item.get<std::string>());
  }
  return all;
}

void JsonFields::refuse(const std::string& key, const std::string& why, const std::string& advice) const {
  throw UsageError("bad " + where_ + "." + key + " (" + why + ") " + advice);
}

void JsonFields::refuse_type(const std::string& key, const nlohmann::json& found, const std::string& wanted) const {
  refuse(key, type_of(found) + " where " + wanted + " is needed", "correct the file");
}

}  // namespace shoal
