#include "text/template_value.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/python_text.hpp"
#include "text/unicode.hpp"

namespace shoal::text {

using Value = TemplateValue;

struct Value::List {
  TemplateValues items;
  ListKind kind;
  int depth;
  std::size_t weight;
};

struct Value::Dict {
  Entries entries;
  int depth;
  std::size_t weight;
};

namespace {

constexpr int max_depth = 100;
constexpr std::size_t max_weight = std::size_t{64} << 20U;
constexpr std::size_t max_looped_text = std::size_t{1} << 20U;

[[noreturn]] void fail(const std::string& problem) { throw TemplateError(problem); }

/// Depth and weight of a list or dict, grown child by child.
struct Extent {
  int depth = 1;
  std::size_t weight = 2;

  void add(const Value& child, std::size_t extra) {
    depth = std::max(depth, child.depth() + 1);
    weight += child.weight() + extra;
    if (depth > max_depth) fail("a list or dict nests too deeply");
    if (weight > max_weight) fail("a list or dict grows too large");
  }
};

Value from_json(const nlohmann::ordered_json& json, int depth) {
  if (depth > max_depth) fail("the conversation nests too deeply");
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) fail("a number is too large");
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    TemplateValues items;
    for (const auto& item : json) items.push_back(from_json(item, depth + 1));
    return items;
  }
  if (!json.is_object()) return nullptr;
  Value::Entries entries;
  for (const auto& [key, item] : json.items()) entries.emplace_back(key, from_json(item, depth + 1));
  return entries;
}

bool equal_items(const TemplateValues& a, const TemplateValues& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

bool equal_entries(const Value& a, const Value& b) {
  if (a.entries().size() != b.entries().size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const Value::Entry& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

std::string repr_of_list(const Value& list) {
  const bool tuple = list.is_list(ListKind::tuple);
  if (list.is_list(ListKind::view) || list.is_list(ListKind::generator))
    fail("printing a view of a dict or a generator");
  TextBuilder out;
  out.append(tuple ? "(" : "[");
  for (std::size_t i = 0; i < list.items().size(); ++i) out.append(i > 0 ? ", " : "").append(to_repr(list.items()[i]));
  if (tuple && list.items().size() == 1) out.append(",");
  return out.append(tuple ? ")" : "]").take();
}

std::string repr_of_dict(const Value& dict) {
  TextBuilder out;
  out.append("{");
  const char* separator = "";
  for (const auto& [key, value] : dict.entries()) {
    out.append(separator).append(python::repr(key)).append(": ").append(to_repr(value));
    separator = ", ";
  }
  return out.append("}").take();
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  std::string run(const Value& value) {
    write(value, 0);
    return out_.take();
  }

 private:
  void write(const Value& value, int level) {
    if (value.is_text()) {
      out_.append(python::json_string(value.text(), style_.ensure_ascii));
    } else if (value.is_list(ListKind::list) || value.is_list(ListKind::tuple)) {
      write_all("[", value.items(), "]", level, [&](const Value& item) { write(item, level + 1); });
    } else if (value.is_dict()) {
      write_dict(value, level);
    } else if (value.is_none() || value.is_boolean()) {
      out_.append(value.is_none() ? "null" : is_true(value) ? "true" : "false");
    } else if (value.is_number()) {
      out_.append(number(value));
    } else {
      fail("a value that JSON cannot hold" +
           (value.is_undefined() ? " ('" + value.undefined_name() + "' is undefined)" : ""));
    }
  }

  static std::string number(const Value& value) {
    const std::string text = to_text(value);
    return text == "inf" ? "Infinity" : text == "-inf" ? "-Infinity" : text == "nan" ? "NaN" : text;
  }

  void write_dict(const Value& dict, int level) {
    Value::Entries entries = dict.entries();
    if (style_.sort_keys)
      std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    write_all("{", entries, "}", level, [&](const Value::Entry& entry) {
      out_.append(python::json_string(entry.first, style_.ensure_ascii)).append(style_.key_separator);
      write(entry.second, level + 1);
    });
  }

  template <class Items, class Write>
  void write_all(const char* open, const Items& items, const char* close, int level, const Write& write_item) {
    out_.append(open);
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_.append(style_.item_separator);
      first = false;
      new_line(level + 1);
      write_item(item);
    }
    if (!first) new_line(level);
    out_.append(close);
  }

  void new_line(int level) {
    if (!style_.multiline) return;
    out_.append("\n");
    for (int i = 0; i < level; ++i) out_.append(style_.indent);
  }

  const JsonStyle& style_;
  TextBuilder out_;
};

}  // namespace

TextBuilder& TextBuilder::append(std::string_view part) {
  if (text_.size() + part.size() > limit) fail("a text grows too large");
  text_ += part;
  return *this;
}

Value Value::undefined(std::string name) {
  Value value(nullptr);
  value.data_ = Undefined{std::make_shared<const std::string>(std::move(name))};
  return value;
}

Value::TemplateValue(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}

Value::TemplateValue(TemplateValues items, ListKind kind) {
  Extent extent;
  for (const Value& item : items) extent.add(item, 2);
  data_ = std::make_shared<const List>(List{std::move(items), kind, extent.depth, extent.weight});
}

Value::TemplateValue(Entries entries) {
  Extent extent;
  for (const auto& [key, value] : entries) extent.add(value, key.size() + 6);
  data_ = std::make_shared<const Dict>(Dict{std::move(entries), extent.depth, extent.weight});
}

Value::TemplateValue(Callable callable) : data_(std::make_shared<const Callable>(std::move(callable))) {}

Value Value::from_json(const nlohmann::ordered_json& json) { return text::from_json(json, 0); }

const TemplateValues& Value::items() const { return std::get<std::shared_ptr<const List>>(data_)->items; }
ListKind Value::kind() const { return std::get<std::shared_ptr<const List>>(data_)->kind; }
const Value::Entries& Value::entries() const { return std::get<std::shared_ptr<const Dict>>(data_)->entries; }

Value::Namespace* Value::space() const {
  Namespace* const* space = std::get_if<Namespace*>(&data_);
  return space == nullptr ? nullptr : *space;
}

std::int64_t Value::integer() const {
  if (is_boolean()) return std::get<bool>(data_) ? 1 : 0;
  if (!is_integer()) fail("a whole number is needed");
  return std::get<std::int64_t>(data_);
}

double Value::number() const {
  if (is_undefined()) fail("'" + undefined_name() + "' is undefined");
  if (!is_number()) fail("a number is needed");
  return is_float() ? std::get<double>(data_) : static_cast<double>(integer());
}

const Value* Value::find(std::string_view key) const {
  const auto found =
      std::find_if(entries().begin(), entries().end(), [&](const Entry& entry) { return entry.first == key; });
  return found == entries().end() ? nullptr : &found->second;
}

int Value::depth() const {
  if (is_list()) return std::get<std::shared_ptr<const List>>(data_)->depth;
  if (is_dict()) return std::get<std::shared_ptr<const Dict>>(data_)->depth;
  if (is_callable() && !callable().object.empty()) return callable().object[0].depth() + 1;
  return 0;
}

std::size_t Value::weight() const {
  if (is_text()) return text().size() + 2;
  if (is_list()) return std::get<std::shared_ptr<const List>>(data_)->weight;
  if (is_dict()) return std::get<std::shared_ptr<const Dict>>(data_)->weight;
  return 8;
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.number() != 0.0;
  if (value.is_text()) return !value.text().empty();
  if (value.is_list()) return value.is_list(ListKind::generator) || !value.items().empty();
  if (value.is_dict()) return !value.entries().empty();
  return true;
}

std::string to_text(const Value& value) {
  if (value.is_text()) return value.text();
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (value.is_boolean()) return is_true(value) ? "True" : "False";
  if (value.is_integer()) return std::to_string(value.integer());
  if (value.is_float()) return python::repr(value.number());
  if (value.is_list()) return repr_of_list(value);
  if (value.is_dict()) return repr_of_dict(value);
  fail("printing a function or a namespace");
}

std::string to_repr(const Value& value) {
  if (value.is_text()) return python::repr(value.text());
  return value.is_undefined() ? "Undefined" : to_text(value);
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.number() == b.number();
    return a.integer() == b.integer();
  }
  if (a.is_text() && b.is_text()) return a.text() == b.text();
  if (a.is_list() && b.is_list())
    return a.kind() == b.kind() && a.kind() != ListKind::generator && equal_items(a.items(), b.items());
  if (a.is_dict() && b.is_dict()) return equal_entries(a, b);
  if (a.space() != nullptr) return a.space() == b.space();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.number() < b.number();
    return a.integer() < b.integer();
  }
  if (a.is_text() && b.is_text()) return a.text() < b.text();
  if (a.is_list() && b.is_list() && a.kind() == b.kind() &&
      (a.kind() == ListKind::list || a.kind() == ListKind::tuple)) {
    const auto [left, right] =
        std::mismatch(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), equal);
    if (left == a.items().end() || right == b.items().end()) return a.items().size() < b.items().size();
    return less(*left, *right);
  }
  for (const Value* value : {&a, &b})
    if (value->is_undefined()) fail("'" + value->undefined_name() + "' is undefined");
  fail("values that have no order are compared");
}

TemplateValues elements(const Value& value) {
  TemplateValues all;
  if (value.is_list()) return value.items();
  if (value.is_dict()) {
    for (const auto& [key, member] : value.entries()) all.emplace_back(key);
  } else if (value.is_text()) {
    if (value.text().size() > max_looped_text) fail("a loop over so long a text");
    for (std::string& character : characters(value.text())) all.emplace_back(std::move(character));
  } else if (!value.is_undefined()) {
    fail("a loop over what is no list, dict or text");
  }
  return all;
}

std::string to_json(const Value& value, const JsonStyle& style) { return JsonWriter(style).run(value); }

}  // namespace shoal::text
