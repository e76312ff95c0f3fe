#include <algorithm>
#include <cmath>

#include "text/template_functions.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

using Value = TemplateValue;

[[noreturn]] void fail(const std::string& problem) { throw TemplateError(problem); }

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(result, base, &result)) fail("a number grows too large");
  return result;
}

Value whole_arithmetic(std::string_view sign, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if (sign == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (sign == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (sign == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (sign == "**") {
    if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
    if (b > 63 && a != 0 && a != 1 && a != -1) fail("a number grows too large");
    return power(a, b > 63 ? b % 2 + 62 : b);
  } else {
    if (b == 0) fail("division by zero");
    if (a == INT64_MIN && b == -1) fail("a number grows too large");
    if (sign == "/") return static_cast<double>(a) / static_cast<double>(b);
    result = sign == "//" ? floor_quotient(a, b) : a - floor_quotient(a, b) * b;
  }
  if (overflow) fail("a number grows too large");
  return result;
}

Value arithmetic(std::string_view sign, double a, double b) {
  if (sign == "+") return a + b;
  if (sign == "-") return a - b;
  if (sign == "*") return a * b;
  if (sign == "**") return std::pow(a, b);
  if (b == 0.0) fail("division by zero");
  if (sign == "/") return a / b;
  const double quotient = std::floor(a / b);
  return sign == "//" ? quotient : a - quotient * b;
}

Value repeated(const std::string& text, std::int64_t count) {
  if (count > 0 && text.size() > TextBuilder::limit / static_cast<std::size_t>(count)) fail("a text grows too large");
  std::string out;
  for (std::int64_t i = 0; i < count; ++i) out += text;
  return out;
}

bool contains(const Value& whole, const Value& part) {
  if (whole.is_text()) {
    if (!part.is_text()) fail("'in' looks for what is no text in a text");
    return whole.text().find(part.text()) != std::string::npos;
  }
  if (whole.is_dict()) return part.is_text() && whole.find(part.text()) != nullptr;
  const TemplateValues all = elements(whole);
  return std::any_of(all.begin(), all.end(), [&](const Value& item) { return equal(item, part); });
}

bool has_positions(const Value& value) { return value.is_list(ListKind::list) || value.is_list(ListKind::tuple); }

/// Start of each character, and the end.
std::vector<std::size_t> character_offsets(std::string_view text) {
  std::vector<std::size_t> offsets{0};
  while (offsets.back() < text.size())
    offsets.push_back(offsets.back() + first_character(text.substr(offsets.back())).size());
  return offsets;
}

std::string character_at(std::string_view text, const std::vector<std::size_t>& offsets, std::size_t at) {
  return std::string(text.substr(offsets[at], offsets[at + 1] - offsets[at]));
}

/// Position @p key of @p size, counted from the end if negative; none if it lies outside.
std::optional<std::size_t> position(const Value& key, std::size_t size) {
  const std::int64_t at = key.integer() + (key.integer() < 0 ? static_cast<std::int64_t>(size) : 0);
  if (at < 0 || at >= static_cast<std::int64_t>(size)) return std::nullopt;
  return static_cast<std::size_t>(at);
}

bool is_one_of(const std::string& name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Python's str has these, whether or not call_method knows them.
bool is_method_of_text(const std::string& name) {
  return is_one_of(name,
                   {"capitalize", "casefold",     "center",       "count",   "encode",     "endswith",    "expandtabs",
                    "find",       "format",       "format_map",   "index",   "isalnum",    "isalpha",     "isascii",
                    "isdecimal",  "isdigit",      "isidentifier", "islower", "isnumeric",  "isprintable", "isspace",
                    "istitle",    "isupper",      "join",         "ljust",   "lower",      "lstrip",      "maketrans",
                    "partition",  "removeprefix", "removesuffix", "replace", "rfind",      "rindex",      "rjust",
                    "rpartition", "rsplit",       "rstrip",       "split",   "splitlines", "startswith",  "strip",
                    "swapcase",   "title",        "translate",    "upper",   "zfill"});
}

/// Methods that change the object are kept from templates.
bool has_method(const Value& value, const std::string& name) {
  if (value.is_text()) return is_method_of_text(name);
  if (value.is_dict()) return is_one_of(name, {"items", "keys", "values", "get", "copy", "fromkeys"});
  if (value.is_list(ListKind::list)) return is_one_of(name, {"index", "count", "copy"});
  return value.is_list(ListKind::tuple) && is_one_of(name, {"index", "count"});
}

bool has_forbidden_method(const Value& value, const std::string& name) {
  if (value.is_dict()) return is_one_of(name, {"pop", "popitem", "update", "setdefault", "clear"});
  return value.is_list(ListKind::list) &&
         is_one_of(name, {"append", "extend", "insert", "remove", "pop", "reverse", "sort", "clear"});
}

/// What Jinja gives for a method; undefined if there is none.
Value method_of(const Value& value, const std::string& name) {
  if (has_method(value, name)) return Value(Value::Callable{name, nullptr, {value}});
  return Value::undefined(name);
}

struct SliceBounds {
  std::int64_t first, last, step;
};

SliceBounds slice_bounds(const TemplateValues& bounds, std::int64_t size) {
  const std::int64_t step = bounds[2].is_none() ? 1 : bounds[2].integer();
  if (step == 0) fail("slice step 0");
  const auto bound = [&](const Value& given, std::int64_t otherwise) {
    if (given.is_none()) return otherwise;
    const std::int64_t at = given.integer() < 0 ? std::max(given.integer(), -size - 1) + size : given.integer();
    return step > 0 ? std::clamp<std::int64_t>(at, 0, size) : std::clamp<std::int64_t>(at, -1, size - 1);
  };
  return {bound(bounds[0], step > 0 ? 0 : size - 1), bound(bounds[1], step > 0 ? size : -1), step};
}

/// Calls @p visit with each position of a slice.
template <class Visit>
void for_each_position(const SliceBounds& bounds, const Visit& visit) {
  std::int64_t at = bounds.first;
  while (bounds.step > 0 ? at < bounds.last : at > bounds.last) {
    visit(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, bounds.step, &at)) return;
  }
}

}  // namespace

Value binary_operation(std::string_view sign, const Value& left, const Value& right) {
  if (sign == "~") return TextBuilder().append(to_text(left)).append(to_text(right)).take();
  for (const Value* value : {&left, &right})
    if (value->is_undefined()) fail("'" + value->undefined_name() + "' is undefined");
  if (left.is_number() && right.is_number()) {
    if (left.is_float() || right.is_float()) return arithmetic(sign, left.number(), right.number());
    return whole_arithmetic(sign, left.integer(), right.integer());
  }
  if (sign == "+" && left.is_text() && right.is_text())
    return TextBuilder().append(left.text()).append(right.text()).take();
  if (sign == "+" && has_positions(left) && has_positions(right) && left.kind() == right.kind()) {
    TemplateValues both = left.items();
    both.insert(both.end(), right.items().begin(), right.items().end());
    return {std::move(both), left.kind()};
  }
  if (sign == "*" && left.is_text() && !right.is_text()) return repeated(left.text(), right.integer());
  if (sign == "*" && right.is_text() && !left.is_text()) return repeated(right.text(), left.integer());
  if (sign == "%" && left.is_text()) fail("formatting a text with '%' is not supported");
  fail("'" + std::string(sign) + "' does not fit these values");
}

Value unary_operation(std::string_view sign, const Value& value) {
  if (sign == "not") return !is_true(value);
  if (sign == "-" && value.is_float()) return -value.number();
  return binary_operation(sign, std::int64_t{0}, value);
}

bool compare(std::string_view sign, const Value& left, const Value& right) {
  if (sign == "==") return equal(left, right);
  if (sign == "!=") return !equal(left, right);
  if (sign == "<") return less(left, right);
  if (sign == ">") return less(right, left);
  if (sign == "<=") return less(left, right) || equal(left, right);
  if (sign == ">=") return less(right, left) || equal(left, right);
  return contains(right, left) == (sign == "in");
}

Value attribute_of(const Value& value, const std::string& name) {
  if (value.is_undefined()) fail("'" + value.undefined_name() + "' is undefined");
  if (Value::Namespace* space = value.space()) {
    const auto found = std::find_if(space->entries.begin(), space->entries.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    return found == space->entries.end() ? Value::undefined(name) : found->second;
  }
  if (has_method(value, name)) return method_of(value, name);
  if (has_forbidden_method(value, name)) return Value::undefined(name);
  const Value* found = value.is_dict() ? value.find(name) : nullptr;
  return found != nullptr ? *found : Value::undefined(name);
}

Value item_of(const Value& value, const Value& key) {
  if (value.is_undefined()) fail("'" + value.undefined_name() + "' is undefined");
  if (value.is_dict() && key.is_text()) {
    if (const Value* found = value.find(key.text())) return *found;
  }
  if (key.is_integer() || key.is_boolean()) {
    if (has_positions(value)) {
      const auto at = position(key, value.items().size());
      return at ? value.items()[*at] : Value::undefined("item " + to_text(key));
    }
    if (value.is_text()) {
      const auto offsets = character_offsets(value.text());
      const auto at = position(key, offsets.size() - 1);
      return at ? Value(character_at(value.text(), offsets, *at)) : Value::undefined("item " + to_text(key));
    }
  }
  if (!key.is_text()) return Value::undefined("item");
  return value.space() != nullptr ? attribute_of(value, key.text()) : method_of(value, key.text());
}

Value slice_of(const Value& value, const TemplateValues& bounds) {
  if (value.is_text()) {
    const auto offsets = character_offsets(value.text());
    std::string out;
    for_each_position(slice_bounds(bounds, static_cast<std::int64_t>(offsets.size()) - 1),
                      [&](std::size_t at) { out += character_at(value.text(), offsets, at); });
    return out;
  }
  if (!has_positions(value)) fail("a slice of what is no list or text");
  TemplateValues out;
  for_each_position(slice_bounds(bounds, static_cast<std::int64_t>(value.items().size())),
                    [&](std::size_t at) { out.push_back(value.items()[at]); });
  return {std::move(out), value.kind()};
}

}  // namespace shoal::text
