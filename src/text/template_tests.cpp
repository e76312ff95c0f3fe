#include <unordered_map>

#include "text/python_text.hpp"
#include "text/template_functions.hpp"

namespace shoal::text {
namespace {

using Value = TemplateValue;
using Arguments = TemplateArguments;
using Test = bool (*)(const Value&, const Arguments&);

const Value& other(const Arguments& arguments) { return arguments.need(0, "other"); }

std::int64_t remainder(const Value& value, const Value& divisor) {
  return binary_operation("%", value.integer(), divisor.integer()).integer();
}

bool is_sequence(const Value& v) {
  return v.is_text() || v.is_dict() || v.is_undefined() || v.is_list(ListKind::list) || v.is_list(ListKind::tuple);
}

/// Python's "is" for the values that templates use it on.
bool is_same(const Value& a, const Value& b) {
  return a.is_boolean() == b.is_boolean() && a.is_float() == b.is_float() && equal(a, b);
}

const std::unordered_map<std::string_view, Test>& tests() {
  static const std::unordered_map<std::string_view, Test> table{
      {"boolean", [](const Value& v, const Arguments&) { return v.is_boolean(); }},
      {"callable", [](const Value& v, const Arguments&) { return v.is_callable(); }},
      {"defined", [](const Value& v, const Arguments&) { return !v.is_undefined(); }},
      {"divisibleby", [](const Value& v, const Arguments& a) { return remainder(v, a.need(0, "num")) == 0; }},
      {"even", [](const Value& v, const Arguments&) { return remainder(v, std::int64_t{2}) == 0; }},
      {"false", [](const Value& v, const Arguments&) { return v.is_boolean() && !is_true(v); }},
      {"float", [](const Value& v, const Arguments&) { return v.is_float(); }},
      {"in", [](const Value& v, const Arguments& a) { return compare("in", v, a.need(0, "seq")); }},
      {"integer", [](const Value& v, const Arguments&) { return v.is_integer(); }},
      {"iterable",
       [](const Value& v, const Arguments&) { return v.is_text() || v.is_dict() || v.is_list() || v.is_undefined(); }},
      {"lower", [](const Value& v, const Arguments&) { return python::all_are(to_text(v), "islower"); }},
      {"mapping", [](const Value& v, const Arguments&) { return v.is_dict(); }},
      {"none", [](const Value& v, const Arguments&) { return v.is_none(); }},
      {"number", [](const Value& v, const Arguments&) { return v.is_number(); }},
      {"odd", [](const Value& v, const Arguments&) { return remainder(v, std::int64_t{2}) == 1; }},
      {"sameas", [](const Value& v, const Arguments& a) { return is_same(v, other(a)); }},
      {"sequence", [](const Value& v, const Arguments&) { return is_sequence(v); }},
      {"string", [](const Value& v, const Arguments&) { return v.is_text(); }},
      {"true", [](const Value& v, const Arguments&) { return v.is_boolean() && is_true(v); }},
      {"undefined", [](const Value& v, const Arguments&) { return v.is_undefined(); }},
      {"upper", [](const Value& v, const Arguments&) { return python::all_are(to_text(v), "isupper"); }}};
  return table;
}

/// The comparison that a test such as "eq" stands for; empty if none.
std::string_view comparison_of(std::string_view name) {
  if (name == "eq" || name == "equalto") return "==";
  if (name == "ne") return "!=";
  if (name == "lt" || name == "lessthan") return "<";
  if (name == "le") return "<=";
  if (name == "gt" || name == "greaterthan") return ">";
  if (name == "ge") return ">=";
  for (const std::string_view sign : {"==", "!=", "<", "<=", ">", ">="})
    if (name == sign) return sign;
  return {};
}

}  // namespace

bool apply_test(const std::string& name, const Value& value, const Arguments& arguments) {
  if (const std::string_view sign = comparison_of(name); !sign.empty()) return compare(sign, value, other(arguments));
  const auto found = tests().find(name);
  if (found == tests().end()) throw TemplateError("test '" + name + "' is not supported");
  return found->second(value, arguments);
}

}  // namespace shoal::text
