#include "text/template_functions.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "text/unicode.hpp"

namespace shoal::text {
namespace {

using Value = TemplateValue;
using Arguments = std::span<const Value>;

[[noreturn]] void fail(const std::string& problem) { throw TemplateError(problem); }

/// json.dumps with Python's separators.
std::string dumped(const Value& value) {
  if (value.is_object()) {
    std::string out(1, '{');
    for (const auto& [key, member] : value.items()) {
      if (out.size() > 1) out += ", ";
      out.append(Value(key).dump()).append(": ").append(dumped(member));
    }
    return out.append("}");
  }
  if (value.is_array()) {
    std::string out(1, '[');
    for (const Value& member : value) out.append(out.size() > 1 ? ", " : "").append(dumped(member));
    return out.append("]");
  }
  return value.is_discarded() ? "null" : value.dump();
}

std::string_view space = " \t\n\r\v\f";

std::string stripped(const std::string& text, Arguments arguments, bool left, bool right) {
  const std::string set = arguments.empty() ? std::string(space) : to_text(arguments[0]);
  std::size_t begin = 0;
  std::size_t end = text.size();
  while (left && begin < end && set.find(text[begin]) != std::string::npos) ++begin;
  while (right && end > begin && set.find(text[end - 1]) != std::string::npos) --end;
  return text.substr(begin, end - begin);
}

std::string with_case(std::string text, int (*change)(int)) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x80) c = static_cast<char>(change(static_cast<unsigned char>(c)));
  return text;
}

/// Jinja's filter: words begin after white space and any of -({[<
std::string titled_words(std::string text) {
  bool inside = false;
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) c = static_cast<char>(inside ? std::tolower(byte) : std::toupper(byte));
    inside = std::string_view("-({[< \t\n\r\v\f").find(c) == std::string_view::npos;
  }
  return text;
}

/// Python's method: words begin after whatever is no letter.
std::string titled(std::string text) {
  bool inside = false;
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) c = static_cast<char>(inside ? std::tolower(byte) : std::toupper(byte));
    inside = byte >= 0x80 || std::isalpha(byte) != 0;
  }
  return text;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  if (from.empty()) return text;
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

Value split(const std::string& text, Arguments arguments) {
  Value parts = Value::array();
  if (arguments.empty()) {
    for (std::size_t at = text.find_first_not_of(space); at != std::string::npos;) {
      const std::size_t end = std::min(text.find_first_of(space, at), text.size());
      parts.push_back(text.substr(at, end - at));
      at = text.find_first_not_of(space, end);
    }
    return parts;
  }
  const std::string separator = to_text(arguments[0]);
  if (separator.empty()) fail("split by an empty string");
  auto left = arguments.size() > 1 ? arguments[1].get<std::int64_t>() : -1;
  std::size_t begin = 0;
  for (std::size_t at = 0; left != 0 && (at = text.find(separator, begin)) != std::string::npos; --left) {
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::string joined(const Value& list, const std::string& separator) {
  std::string out;
  bool first = true;
  for (const Value& member : list) {
    if (!first) out += separator;
    out += to_text(member);
    first = false;
  }
  return out;
}

Value items(const Value& object) {
  Value pairs = Value::array();
  for (const auto& [key, member] : object.items()) pairs.push_back(Value::array({key, member}));
  return pairs;
}

Value characters_of(const std::string& text) {
  Value all = Value::array();
  for (std::string& character : characters(text)) all.push_back(std::move(character));
  return all;
}

std::size_t length_of(const Value& value) {
  if (value.is_string()) return characters(value.get_ref<const std::string&>()).size();
  if (value.is_array() || value.is_object()) return value.size();
  fail("a value without length");
}

bool contains(const Value& whole, const Value& part) {
  if (whole.is_string())
    return part.is_string() && whole.get<std::string>().find(part.get<std::string>()) != std::string::npos;
  if (whole.is_object()) return part.is_string() && whole.contains(part.get<std::string>());
  if (whole.is_array()) return std::find(whole.begin(), whole.end(), part) != whole.end();
  fail("'in' needs a string, a list or a dict");
}

Value arithmetic(const std::string& name, const Value& left, const Value& right) {
  if (!left.is_number() || !right.is_number()) fail("'" + name + "' needs numbers");
  const bool whole = left.is_number_integer() && right.is_number_integer();
  const double a = left.get<double>();
  const double b = right.get<double>();
  if (name == "/" || name == "//" || name == "%") {
    if (b == 0.0) fail("division by zero");
    if (name == "/") return a / b;
    const double quotient = std::floor(a / b);
    const double result = name == "//" ? quotient : a - quotient * b;
    return whole ? Value(static_cast<std::int64_t>(result)) : Value(result);
  }
  const double result = name == "+" ? a + b : name == "-" ? a - b : a * b;
  return whole ? Value(static_cast<std::int64_t>(result)) : Value(result);
}

bool less(const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) return left.get<double>() < right.get<double>();
  if (left.is_string() && right.is_string()) return left.get<std::string>() < right.get<std::string>();
  fail("values that cannot be compared");
}

std::string text_of_list(const Value& value) {
  std::string out(1, value.is_array() ? '[' : '{');
  bool first = true;
  for (const auto& [key, member] : value.items()) {
    if (!first) out += ", ";
    first = false;
    if (value.is_object()) out.append("'").append(key).append("': ");
    if (member.is_string())
      out.append("'").append(member.get<std::string>()).append("'");
    else
      out.append(to_text(member));
  }
  return out.append(value.is_array() ? "]" : "}");
}

}  // namespace

bool is_true(const Value& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0.0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.is_null() && !value.is_discarded() && !value.empty();
}

std::string to_text(const Value& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_discarded()) return "";
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_array() || value.is_object()) return text_of_list(value);
  return value.dump();
}

Value binary_operation(const std::string& name, const Value& left, const Value& right) {
  if (name == "~") return to_text(left) + to_text(right);
  if (name == "==") return left == right;
  if (name == "!=") return left != right;
  if (name == "<") return less(left, right);
  if (name == ">") return less(right, left);
  if (name == "<=") return !less(right, left);
  if (name == ">=") return !less(left, right);
  if (name == "in") return contains(right, left);
  if (name == "+" && left.is_string() && right.is_string()) return left.get<std::string>() + right.get<std::string>();
  if (name == "+" && left.is_array() && right.is_array()) {
    Value both = left;
    for (const Value& member : right) both.push_back(member);
    return both;
  }
  if (name == "*" && left.is_string() && right.is_number_integer()) {
    std::string out;
    for (auto i = right.get<std::int64_t>(); i > 0; --i) out += left.get<std::string>();
    return out;
  }
  return arithmetic(name, left, right);
}

Value item_of(const Value& value, const Value& key) {
  if (value.is_object() && key.is_string()) {
    const auto found = value.find(key.get<std::string>());
    return found == value.end() ? undefined() : *found;
  }
  if ((value.is_array() || value.is_string()) && key.is_number_integer()) {
    const Value list = value.is_string() ? characters_of(value) : value;
    const auto size = static_cast<std::int64_t>(list.size());
    const auto at = key.get<std::int64_t>() < 0 ? key.get<std::int64_t>() + size : key.get<std::int64_t>();
    return at < 0 || at >= size ? undefined() : list[static_cast<std::size_t>(at)];
  }
  if (value.is_discarded() || value.is_null()) fail("a member of an undefined value");
  return undefined();
}

Value slice_of(const Value& value, Arguments bounds) {
  if (!value.is_array() && !value.is_string()) fail("a slice of what is no list or string");
  const Value list = value.is_string() ? characters_of(value) : value;
  const auto size = static_cast<std::int64_t>(list.size());
  const auto step = bounds[2].is_null() ? 1 : bounds[2].get<std::int64_t>();
  if (step == 0) fail("slice step 0");
  const auto bound = [&](const Value& given, std::int64_t standard) {
    if (given.is_null()) return standard;
    const auto at = given.get<std::int64_t>() + (given.get<std::int64_t>() < 0 ? size : 0);
    return step > 0 ? std::clamp<std::int64_t>(at, 0, size) : std::clamp<std::int64_t>(at, -1, size - 1);
  };
  const auto first = bound(bounds[0], step > 0 ? 0 : size - 1);
  const auto last = bound(bounds[1], step > 0 ? size : -1);
  Value out = Value::array();
  for (auto at = first; step > 0 ? at < last : at > last; at += step) out.push_back(list[static_cast<std::size_t>(at)]);
  return value.is_string() ? Value(joined(out, "")) : out;
}

Value apply_filter(const std::string& name, const Value& value, Arguments arguments) {
  if (name == "default" || name == "d") {
    const bool also_false = arguments.size() > 1 && is_true(arguments[1]);
    const bool missing = value.is_discarded() || (also_false && !is_true(value));
    return missing ? (arguments.empty() ? Value("") : arguments[0]) : value;
  }
  if (name == "tojson") return dumped(value);
  if (name == "string") return to_text(value);
  if (name == "safe") return value;
  if (name == "trim") return stripped(to_text(value), arguments, true, true);
  if (name == "upper") return with_case(to_text(value), std::toupper);
  if (name == "lower") return with_case(to_text(value), std::tolower);
  if (name == "title") return titled_words(to_text(value));
  if (name == "capitalize") {
    std::string text = with_case(to_text(value), std::tolower);
    if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text;
  }
  if (name == "replace" && arguments.size() == 2)
    return replaced(to_text(value), to_text(arguments[0]), to_text(arguments[1]));
  if (name == "length" || name == "count") return length_of(value);
  if (name == "first") return item_of(value, 0);
  if (name == "last") return item_of(value, -1);
  if (name == "join") return joined(value, arguments.empty() ? "" : to_text(arguments[0]));
  if (name == "list") return value.is_string() ? characters_of(value) : value;
  if (name == "items") return items(value);
  if (name == "reverse") {
    const Value all[] = {nullptr, nullptr, -1};
    return slice_of(value, all);
  }
  if (name == "int") {
    if (value.is_number()) return static_cast<std::int64_t>(value.get<double>());
    const Value parsed = Value::parse(to_text(value), nullptr, false);
    return parsed.is_number() ? Value(static_cast<std::int64_t>(parsed.get<double>())) : Value(0);
  }
  fail("filter '" + name + "' is not supported");
}

bool apply_test(const std::string& name, const Value& value, Arguments arguments) {
  if (name == "defined") return !value.is_discarded();
  if (name == "undefined") return value.is_discarded();
  if (name == "none") return value.is_null();
  if (name == "string") return value.is_string();
  if (name == "mapping") return value.is_object();
  if (name == "sequence" || name == "iterable") return value.is_array() || value.is_string() || value.is_object();
  if (name == "number") return value.is_number();
  if (name == "integer") return value.is_number_integer();
  if (name == "float") return value.is_number_float();
  if (name == "boolean") return value.is_boolean();
  if (name == "true") return value.is_boolean() && value.get<bool>();
  if (name == "false") return value.is_boolean() && !value.get<bool>();
  if ((name == "eq" || name == "equalto") && arguments.size() == 1) return value == arguments[0];
  if (name == "ne" && arguments.size() == 1) return value != arguments[0];
  if (name == "in" && arguments.size() == 1) return contains(arguments[0], value);
  if (name == "divisibleby" && arguments.size() == 1)
    return value.get<std::int64_t>() % arguments[0].get<std::int64_t>() == 0;
  if (name == "odd") return value.get<std::int64_t>() % 2 != 0;
  if (name == "even") return value.get<std::int64_t>() % 2 == 0;
  fail("test '" + name + "' is not supported");
}

Value call_method(const Value& object, const std::string& name, Arguments arguments) {
  if (object.is_string()) {
    const std::string& text = object.get_ref<const std::string&>();
    if (name == "strip") return stripped(text, arguments, true, true);
    if (name == "lstrip") return stripped(text, arguments, true, false);
    if (name == "rstrip") return stripped(text, arguments, false, true);
    if (name == "upper") return with_case(text, std::toupper);
    if (name == "lower") return with_case(text, std::tolower);
    if (name == "title") return titled(text);
    if (name == "capitalize") return apply_filter("capitalize", object, {});
    if (name == "split") return split(text, arguments);
    if (name == "startswith" && !arguments.empty()) return text.starts_with(to_text(arguments[0]));
    if (name == "endswith" && !arguments.empty()) return text.ends_with(to_text(arguments[0]));
    if (name == "replace" && arguments.size() == 2) return replaced(text, to_text(arguments[0]), to_text(arguments[1]));
    if (name == "join" && !arguments.empty()) return joined(arguments[0], text);
  }
  if (object.is_object()) {
    if (name == "items") return items(object);
    if (name == "get" && !arguments.empty()) {
      const Value found = item_of(object, arguments[0]);
      return !found.is_discarded() ? found : arguments.size() > 1 ? arguments[1] : Value(nullptr);
    }
    if (name == "keys" || name == "values") {
      Value all = Value::array();
      for (const auto& [key, member] : object.items()) all.push_back(name == "keys" ? Value(key) : member);
      return all;
    }
  }
  fail("method '" + name + "' is not supported");
}

}  // namespace shoal::text
