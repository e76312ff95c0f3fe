#include <algorithm>
#include <unordered_map>

#include "text/python_text.hpp"
#include "text/template_functions.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

using Value = TemplateValue;
using Arguments = TemplateArguments;
using Method = Value (*)(const Value&, const Arguments&);
using Methods = std::unordered_map<std::string_view, Method>;

[[noreturn]] void fail(const std::string& problem) { throw TemplateError(problem); }

/// An argument that must be a text.
const std::string& text_argument(const Arguments& arguments, std::size_t position, std::string_view name) {
  const Value& value = arguments.need(position, name);
  if (!value.is_text()) fail("the argument '" + std::string(name) + "' must be a text");
  return value.text();
}

/// A text that may be missing or none.
std::optional<std::string_view> optional_text(const Arguments& arguments, std::size_t position, std::string_view name) {
  const Value* value = arguments.find(position, name);
  if (value == nullptr || value->is_none()) return std::nullopt;
  return text_argument(arguments, position, name);
}

Value list_of(std::vector<std::string> texts) {
  TemplateValues items;
  for (std::string& text : texts) items.emplace_back(std::move(text));
  return items;
}

template <python::Side side>
Value strip(const Value& object, const Arguments& arguments) {
  return python::stripped(object.text(), optional_text(arguments, 0, "chars"), side);
}

template <auto splitter>
Value split(const Value& object, const Arguments& arguments) {
  arguments.expect({"sep", "maxsplit"});
  const auto separator = optional_text(arguments, 0, "sep");
  if (separator && separator->empty()) fail("split by an empty text");
  return list_of(splitter(object.text(), separator, arguments.get(1, "maxsplit", std::int64_t{-1}).integer()));
}

/// startswith, endswith: one text or several.
template <bool (*has)(const std::string&, const std::string&)>
Value has_affix(const Value& object, const Arguments& arguments) {
  if (arguments.positional.size() != 1) fail("one text or tuple of texts is needed");
  const Value& affix = arguments.positional[0];
  const TemplateValues all = affix.is_list(ListKind::tuple) ? affix.items() : TemplateValues{affix};
  return std::any_of(all.begin(), all.end(), [&](const Value& one) {
    if (!one.is_text()) fail("a text is needed");
    return has(object.text(), one.text());
  });
}

bool starts(const std::string& text, const std::string& affix) { return text.starts_with(affix); }
bool ends(const std::string& text, const std::string& affix) { return text.ends_with(affix); }

Value replace(const Value& object, const Arguments& arguments) {
  arguments.expect({"old", "new", "count"});
  return replaced(object.text(), text_argument(arguments, 0, "old"), text_argument(arguments, 1, "new"),
                  arguments.get(2, "count", std::int64_t{-1}).integer());
}

Value join(const Value& object, const Arguments& arguments) {
  const TemplateValues items = elements(arguments.need(0, "iterable"));
  if (!std::all_of(items.begin(), items.end(), [](const Value& item) { return item.is_text(); }))
    fail("'join' of what are not all texts");
  return joined(items, object.text());
}

/// Position in characters of a byte position; -1 if there is none.
Value character_position(const std::string& text, std::size_t at) {
  if (at == std::string::npos) return std::int64_t{-1};
  return Value::of_size(characters(std::string_view(text).substr(0, at)).size());
}

Value find(const Value& object, const Arguments& arguments) {
  arguments.expect({"sub"});
  return character_position(object.text(), object.text().find(text_argument(arguments, 0, "sub")));
}

Value rfind(const Value& object, const Arguments& arguments) {
  arguments.expect({"sub"});
  return character_position(object.text(), object.text().rfind(text_argument(arguments, 0, "sub")));
}

Value count(const Value& object, const Arguments& arguments) {
  arguments.expect({"sub"});
  const std::string& part = text_argument(arguments, 0, "sub");
  if (part.empty()) return Value::of_size(characters(object.text()).size() + 1);
  return Value::of_size(python::split(object.text(), part, -1).size() - 1);
}

/// partition, rpartition: what lies before, at and behind a separator.
template <bool from_right>
Value partition(const Value& object, const Arguments& arguments) {
  const std::string& text = object.text();
  const std::string& separator = text_argument(arguments, 0, "sep");
  if (separator.empty()) fail("partition by an empty text");
  const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
  if (at == std::string::npos)
    return from_right ? Value({"", "", text}, ListKind::tuple) : Value({text, "", ""}, ListKind::tuple);
  return {{text.substr(0, at), separator, text.substr(at + separator.size())}, ListKind::tuple};
}

Value remove_prefix(const Value& object, const Arguments& arguments) {
  const std::string& prefix = text_argument(arguments, 0, "prefix");
  return object.text().starts_with(prefix) ? Value(object.text().substr(prefix.size())) : object;
}

Value remove_suffix(const Value& object, const Arguments& arguments) {
  const std::string& suffix = text_argument(arguments, 0, "suffix");
  return object.text().ends_with(suffix) ? Value(object.text().substr(0, object.text().size() - suffix.size()))
                                         : object;
}

const Methods& text_methods() {
  static const Methods table{
      {"capitalize", [](const Value& o, const Arguments&) -> Value { return python::capitalized(o.text()); }},
      {"count", count},
      {"endswith", has_affix<ends>},
      {"find", find},
      {"join", join},
      {"lower", [](const Value& o, const Arguments&) -> Value { return lower_case(o.text()); }},
      {"lstrip", strip<python::Side::left>},
      {"partition", partition<false>},
      {"removeprefix", remove_prefix},
      {"removesuffix", remove_suffix},
      {"replace", replace},
      {"rfind", rfind},
      {"rpartition", partition<true>},
      {"rsplit", split<python::rsplit>},
      {"rstrip", strip<python::Side::right>},
      {"split", split<python::split>},
      {"splitlines", [](const Value& o, const Arguments&) { return list_of(python::split_lines(o.text())); }},
      {"startswith", has_affix<starts>},
      {"strip", strip<python::Side::both>},
      {"title", [](const Value& o, const Arguments&) -> Value { return python::title(o.text()); }},
      {"upper", [](const Value& o, const Arguments&) -> Value { return upper_case(o.text()); }}};
  return table;
}

Value items(const Value& object, const Arguments&) {
  TemplateValues pairs;
  for (const auto& [key, member] : object.entries()) pairs.emplace_back(TemplateValues{key, member}, ListKind::tuple);
  return {std::move(pairs), ListKind::view};
}

Value keys(const Value& object, const Arguments&) { return {elements(object), ListKind::view}; }

Value member_values(const Value& object, const Arguments&) {
  TemplateValues all;
  for (const auto& [key, member] : object.entries()) all.push_back(member);
  return {std::move(all), ListKind::view};
}

Value get(const Value& object, const Arguments& arguments) {
  arguments.expect({"key", "default"});
  const Value& key = arguments.need(0, "key");
  const Value* found = key.is_text() ? object.find(key.text()) : nullptr;
  return found != nullptr ? *found : arguments.get(1, "default", nullptr);
}

Value copy(const Value& object, const Arguments&) { return object; }

const Methods& dict_methods() {
  static const Methods table{{"items", items}, {"keys", keys}, {"values", member_values}, {"get", get}, {"copy", copy}};
  return table;
}

Value count_items(const Value& object, const Arguments& arguments) {
  const Value& wanted = arguments.need(0, "value");
  return std::int64_t{std::count_if(object.items().begin(), object.items().end(),
                                    [&](const Value& item) { return equal(item, wanted); })};
}

Value index_of(const Value& object, const Arguments& arguments) {
  arguments.expect({"value"});
  const Value& wanted = arguments.need(0, "value");
  const auto found = std::find_if(object.items().begin(), object.items().end(),
                                  [&](const Value& item) { return equal(item, wanted); });
  if (found == object.items().end()) fail("'index' of what is not in the list");
  return std::int64_t{found - object.items().begin()};
}

const Methods& list_methods() {
  static const Methods table{{"count", count_items}, {"index", index_of}, {"copy", copy}};
  return table;
}

}  // namespace

Value call_method(const Value& object, const std::string& name, const Arguments& arguments) {
  const Methods& methods = object.is_text() ? text_methods() : object.is_dict() ? dict_methods() : list_methods();
  if (const auto found = methods.find(name); found != methods.end()) return found->second(object, arguments);
  if (object.is_text() && name.starts_with("is") && name != "isidentifier" && name != "isprintable" &&
      name != "istitle" && name != "isascii")
    return python::all_are(object.text(), name);
  fail("method '" + name + "' is not supported");
}

}  // namespace shoal::text
