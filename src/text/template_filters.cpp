#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <unordered_map>

#include "text/python_text.hpp"
#include "text/template_functions.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

using Value = TemplateValue;
using Arguments = TemplateArguments;
using Filter = Value (*)(const Value&, const Arguments&);

[[noreturn]] void fail(const std::string& problem) { throw TemplateError(problem); }

Value generator(TemplateValues items) { return {std::move(items), ListKind::generator}; }

/// Looks up "a.b.0" in a value; none gives the value itself.
Value looked_up(Value value, const Value& path) {
  if (path.is_none()) return value;
  if (!path.is_text()) return item_of(value, path);
  for (const std::string& part : python::split(path.text(), ".", -1)) {
    const auto index = python::all_are(part, "isdigit") ? python::parse_integer(part) : std::nullopt;
    value = item_of(value, index ? Value(*index) : Value(part));
  }
  return value;
}

/// What sorting and comparing filters compare: an attribute maybe, in small letters unless told otherwise.
Value key_of(const Value& item, const Value& attribute, bool case_sensitive) {
  Value key = looked_up(item, attribute);
  return key.is_text() && !case_sensitive ? Value(lower_case(key.text())) : key;
}

/// Sorts by the keys of the items; equal ones keep their order.
TemplateValues sorted(TemplateValues items, bool reverse, const std::function<Value(const Value&)>& key) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) {
    Value k = key(item);
    keyed.emplace_back(std::move(k), std::move(item));
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? less(b.first, a.first) : less(a.first, b.first);
  });
  items.clear();
  for (auto& [k, item] : keyed) items.push_back(std::move(item));
  return items;
}

Value default_filter(const Value& value, const Arguments& arguments) {
  arguments.expect({"default_value", "boolean"});
  const bool also_false = is_true(arguments.get(1, "boolean", false));
  const bool missing = value.is_undefined() || (also_false && !is_true(value));
  return missing ? arguments.get(0, "default_value", "") : value;
}

Value to_json_filter(const Value& value, const Arguments& arguments) {
  arguments.expect({"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = is_true(arguments.get(0, "ensure_ascii", false));
  style.sort_keys = is_true(arguments.get(3, "sort_keys", false));
  if (const Value indent = arguments.get(1, "indent", nullptr); !indent.is_none()) {
    style.multiline = true;
    style.item_separator = ",";
    style.indent =
        indent.is_text() ? indent.text() : std::string(std::clamp<std::int64_t>(indent.integer(), 0, 100), ' ');
  }
  if (const Value separators = arguments.get(2, "separators", nullptr); !separators.is_none()) {
    const TemplateValues both = elements(separators);
    if (both.size() != 2 || !both[0].is_text() || !both[1].is_text()) fail("'separators' needs two texts");
    style.item_separator = both[0].text();
    style.key_separator = both[1].text();
  }
  return to_json(value, style);
}

Value trim(const Value& value, const Arguments& arguments) {
  arguments.expect({"chars"});
  const Value characters = arguments.get(0, "chars", nullptr);
  const std::string text = to_text(value);
  if (characters.is_none()) return python::stripped(text, std::nullopt, python::Side::both);
  return python::stripped(text, to_text(characters), python::Side::both);
}

/// Words begin after white space and any of -({[<
Value title(const Value& value, const Arguments&) {
  std::string out;
  bool inside = false;
  for (const std::string& character : characters(to_text(value))) {
    out += inside ? lower_case(character) : upper_case(character);
    inside = std::string_view("-({[<").find(character) == std::string_view::npos &&
             !python::stripped(character, std::nullopt, python::Side::both).empty();
  }
  return out;
}

Value replace(const Value& value, const Arguments& arguments) {
  arguments.expect({"old", "new", "count"});
  const Value most = arguments.get(2, "count", nullptr);
  return replaced(to_text(value), to_text(arguments.need(0, "old")), to_text(arguments.need(1, "new")),
                  most.is_none() ? -1 : most.integer());
}

Value indent(const Value& value, const Arguments& arguments) {
  arguments.expect({"width", "first", "blank"});
  const Value width = arguments.get(0, "width", std::int64_t{4});
  const std::string space =
      width.is_text() ? width.text() : std::string(std::clamp<std::int64_t>(width.integer(), 0, 10'000), ' ');
  const bool blank = is_true(arguments.get(2, "blank", false));
  const std::string text = binary_operation("+", value, "\n").text();
  TextBuilder out;
  if (is_true(arguments.get(1, "first", false))) out.append(space);
  const char* separator = "";
  for (const std::string& line : python::split_lines(text)) {
    const bool is_first = *separator == '\0';
    out.append(separator).append(!is_first && (blank || !line.empty()) ? space : "").append(line);
    separator = "\n";
  }
  return out.take();
}

Value length(const Value& value, const Arguments&) {
  if (value.is_text()) return Value::of_size(characters(value.text()).size());
  if (value.is_dict()) return Value::of_size(value.entries().size());
  if (value.is_undefined()) return std::int64_t{0};
  if (value.is_list() && value.kind() != ListKind::generator) return Value::of_size(value.items().size());
  fail("the length of what has none");
}

Value first(const Value& value, const Arguments&) {
  const TemplateValues all = elements(value);
  return all.empty() ? Value::undefined("first item") : all.front();
}

Value last(const Value& value, const Arguments&) {
  if (value.is_list(ListKind::generator)) fail("the last item of a generator");
  const TemplateValues all = elements(value);
  return all.empty() ? Value::undefined("last item") : all.back();
}

Value join(const Value& value, const Arguments& arguments) {
  arguments.expect({"d", "attribute"});
  TemplateValues all = elements(value);
  for (Value& item : all) item = looked_up(item, arguments.get(1, "attribute", nullptr));
  return joined(all, to_text(arguments.get(0, "d", "")));
}

Value items(const Value& value, const Arguments&) {
  if (value.is_undefined()) return generator({});
  if (!value.is_dict()) fail("the filter 'items' needs a dict");
  return generator(call_method(value, "items", {}).items());
}

Value reverse(const Value& value, const Arguments&) {
  if (value.is_text()) return slice_of(value, {nullptr, nullptr, std::int64_t{-1}});
  TemplateValues all = elements(value);
  std::reverse(all.begin(), all.end());
  return generator(std::move(all));
}

Value sort(const Value& value, const Arguments& arguments) {
  arguments.expect({"reverse", "case_sensitive", "attribute"});
  const Value attribute = arguments.get(2, "attribute", nullptr);
  if (attribute.is_text() && attribute.text().find(',') != std::string::npos)
    fail("sorting by several attributes is not supported");
  const bool case_sensitive = is_true(arguments.get(1, "case_sensitive", false));
  return sorted(elements(value), is_true(arguments.get(0, "reverse", false)),
                [&](const Value& item) { return key_of(item, attribute, case_sensitive); });
}

Value sort_dict(const Value& value, const Arguments& arguments) {
  arguments.expect({"case_sensitive", "by", "reverse"});
  if (!value.is_dict()) fail("the filter 'dictsort' needs a dict");
  const bool case_sensitive = is_true(arguments.get(0, "case_sensitive", false));
  const std::int64_t part = to_text(arguments.get(1, "by", "key")) == "key" ? 0 : 1;
  return sorted(call_method(value, "items", {}).items(), is_true(arguments.get(2, "reverse", false)),
                [&](const Value& item) { return key_of(item, part, case_sensitive); });
}

Value unique(const Value& value, const Arguments& arguments) {
  arguments.expect({"case_sensitive", "attribute"});
  const bool case_sensitive = is_true(arguments.get(0, "case_sensitive", false));
  TemplateValues kept;
  TemplateValues keys;
  for (const Value& item : elements(value)) {
    if (keys.size() > 1000) fail("'unique' of so long a list is not supported");
    Value key = key_of(item, arguments.get(1, "attribute", nullptr), case_sensitive);
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& other) { return equal(key, other); })) continue;
    keys.push_back(std::move(key));
    kept.push_back(item);
  }
  return generator(std::move(kept));
}

/// The smallest item under @p before.
Value extreme(const Value& value, const Arguments& arguments, bool (*before)(const Value&, const Value&)) {
  arguments.expect({"case_sensitive", "attribute"});
  const TemplateValues all = elements(value);
  const auto key = [&](const Value& item) {
    return key_of(item, arguments.get(1, "attribute", nullptr), is_true(arguments.get(0, "case_sensitive", false)));
  };
  const Value* best = nullptr;
  for (const Value& item : all)
    if (best == nullptr || before(key(item), key(*best))) best = &item;
  return best == nullptr ? Value::undefined("item of an empty list") : *best;
}

Value sum(const Value& value, const Arguments& arguments) {
  arguments.expect({"attribute", "start"});
  Value total = arguments.get(1, "start", std::int64_t{0});
  for (const Value& item : elements(value))
    total = binary_operation("+", total, looked_up(item, arguments.get(0, "attribute", nullptr)));
  return total;
}

/// The arguments behind the first @p count.
Arguments rest_of(const Arguments& arguments, std::size_t count) {
  return {TemplateValues(arguments.positional.begin() + static_cast<std::ptrdiff_t>(count), arguments.positional.end()),
          arguments.named};
}

Value map(const Value& value, const Arguments& arguments) {
  TemplateValues out;
  if (!is_true(value)) return generator({});
  if (arguments.positional.empty()) {
    arguments.expect({"attribute", "default"});
    const Value* otherwise = arguments.find(1, "default");
    for (const Value& item : elements(value)) {
      Value found = looked_up(item, arguments.need(0, "attribute"));
      out.push_back(found.is_undefined() && otherwise != nullptr && !otherwise->is_none() ? *otherwise
                                                                                          : std::move(found));
    }
    return generator(std::move(out));
  }
  const std::string filter = to_text(arguments.positional[0]);
  std::size_t weight = 0;
  for (const Value& item : elements(value)) {
    out.push_back(apply_filter(filter, item, rest_of(arguments, 1)));
    weight += out.back().weight();
    if (weight > TextBuilder::limit) fail("a list grows too large");
  }
  return generator(std::move(out));
}

enum class Keep { passing, failing };

/// select, reject, selectattr and rejectattr: the items that pass a test (or not), or one of whose attributes does.
Value selected(const Value& value, const Arguments& arguments, Keep keep, bool by_attribute) {
  if (!is_true(value)) return generator({});
  const Value attribute = by_attribute ? arguments.need(0, "attribute name") : Value(nullptr);
  const std::size_t at = by_attribute ? 1 : 0;
  TemplateValues out;
  for (const Value& item : elements(value)) {
    const Value tested = looked_up(item, attribute);
    const bool passes = arguments.positional.size() > at
                            ? apply_test(to_text(arguments.positional[at]), tested, rest_of(arguments, at + 1))
                            : is_true(tested);
    if (passes == (keep == Keep::passing)) out.push_back(item);
  }
  return generator(std::move(out));
}

Value to_integer(const Value& value, const Arguments& arguments) {
  arguments.expect({"default"});
  const Value otherwise = arguments.get(0, "default", std::int64_t{0});
  if (value.is_text()) {
    if (const auto whole = python::parse_integer(value.text())) return *whole;
  } else if (value.is_number() && !value.is_float()) {
    return value.integer();
  } else if (!value.is_number()) {
    return otherwise;
  }
  const auto number = value.is_text() ? python::parse_float(value.text()) : std::optional(value.number());
  if (!number || !std::isfinite(*number)) return otherwise;
  if (std::fabs(*number) >= 9.2e18) fail("a number grows too large");
  return static_cast<std::int64_t>(*number);
}

Value to_float(const Value& value, const Arguments& arguments) {
  arguments.expect({"default"});
  const Value otherwise = arguments.get(0, "default", 0.0);
  if (value.is_number()) return value.number();
  const auto number = value.is_text() ? python::parse_float(value.text()) : std::nullopt;
  return number ? Value(*number) : otherwise;
}

Value round(const Value& value, const Arguments& arguments) {
  arguments.expect({"precision", "method"});
  const std::int64_t precision = arguments.get(0, "precision", std::int64_t{0}).integer();
  const std::string method = to_text(arguments.get(1, "method", "common"));
  if (precision < 0 || precision > 15) fail("rounding to this precision is not supported");
  if (method == "common") {
    if (!value.is_float()) return value.integer();
    if (!std::isfinite(value.number()) || std::fabs(value.number()) > 1e15) return value;
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", static_cast<int>(precision), value.number());
    return python::parse_float(text).value_or(0.0);
  }
  if (method != "ceil" && method != "floor") fail("rounding method '" + method + "'");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  return (method == "ceil" ? std::ceil(value.number() * scale) : std::floor(value.number() * scale)) / scale;
}

Value absolute(const Value& value, const Arguments&) {
  return value.number() < 0 ? unary_operation("-", value) : unary_operation("+", value);
}

Value escape(const Value& value, const Arguments&) {
  TextBuilder out;
  for (const char c : to_text(value)) {
    const std::string_view replacement = c == '&'    ? "&amp;"
                                         : c == '<'  ? "&lt;"
                                         : c == '>'  ? "&gt;"
                                         : c == '"'  ? "&#34;"
                                         : c == '\'' ? "&#39;"
                                                     : std::string_view(&c, 1);
    out.append(replacement);
  }
  return out.take();
}

const std::unordered_map<std::string_view, Filter>& filters() {
  static const std::unordered_map<std::string_view, Filter> table{
      {"abs", absolute},
      {"capitalize", [](const Value& v, const Arguments&) -> Value { return python::capitalized(to_text(v)); }},
      {"count", length},
      {"d", default_filter},
      {"default", default_filter},
      {"dictsort", sort_dict},
      {"e", escape},
      {"escape", escape},
      {"first", first},
      {"float", to_float},
      {"indent", indent},
      {"int", to_integer},
      {"items", items},
      {"join", join},
      {"last", last},
      {"length", length},
      {"list", [](const Value& v, const Arguments&) -> Value { return elements(v); }},
      {"lower", [](const Value& v, const Arguments&) -> Value { return lower_case(to_text(v)); }},
      {"map", map},
      {"max",
       [](const Value& v, const Arguments& a) { return extreme(v, a, [](auto& x, auto& y) { return less(y, x); }); }},
      {"min", [](const Value& v, const Arguments& a) { return extreme(v, a, less); }},
      {"reject", [](const Value& v, const Arguments& a) { return selected(v, a, Keep::failing, false); }},
      {"rejectattr", [](const Value& v, const Arguments& a) { return selected(v, a, Keep::failing, true); }},
      {"replace", replace},
      {"reverse", reverse},
      {"round", round},
      {"safe", [](const Value& v, const Arguments&) -> Value { return to_text(v); }},
      {"select", [](const Value& v, const Arguments& a) { return selected(v, a, Keep::passing, false); }},
      {"selectattr", [](const Value& v, const Arguments& a) { return selected(v, a, Keep::passing, true); }},
      {"sort", sort},
      {"string", [](const Value& v, const Arguments&) -> Value { return to_text(v); }},
      {"sum", sum},
      {"title", title},
      {"tojson", to_json_filter},
      {"trim", trim},
      {"unique", unique},
      {"upper", [](const Value& v, const Arguments&) -> Value { return upper_case(to_text(v)); }}};
  return table;
}

}  // namespace

void TemplateArguments::expect(std::initializer_list<std::string_view> parameters) const {
  if (positional.size() > parameters.size()) fail("too many arguments");
  for (const auto& [name, value] : named)
    if (std::find(parameters.begin(), parameters.end(), name) == parameters.end())
      fail("unknown argument '" + name + "'");
}

const Value* TemplateArguments::find(std::size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  const auto found = std::find_if(named.begin(), named.end(), [&](const auto& entry) { return entry.first == name; });
  return found == named.end() ? nullptr : &found->second;
}

Value TemplateArguments::get(std::size_t position, std::string_view name, Value otherwise) const {
  const Value* found = find(position, name);
  return found == nullptr ? std::move(otherwise) : *found;
}

const Value& TemplateArguments::need(std::size_t position, std::string_view name) const {
  const Value* found = find(position, name);
  if (found == nullptr) fail("the argument '" + std::string(name) + "' is missing");
  return *found;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to, std::int64_t most) {
  TextBuilder out;
  if (from.empty()) fail("replacing an empty text is not supported");
  for (std::size_t at = 0; most != 0 && (at = text.find(from)) != std::string_view::npos; --most) {
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text).take();
}

std::string joined(const TemplateValues& items, std::string_view separator) {
  TextBuilder out;
  for (std::size_t i = 0; i < items.size(); ++i) out.append(i > 0 ? separator : "").append(to_text(items[i]));
  return out.take();
}

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = filters().find(name);
  if (found == filters().end()) fail("filter '" + name + "' is not supported");
  return found->second(value, arguments);
}

}  // namespace shoal::text
