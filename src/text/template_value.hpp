// Values of chat templates, with the behaviour of the Python objects that they stand for.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace shoal::text {

struct Statement;

/// A fault in a template or in what it does.
class TemplateError : public std::runtime_error {
 public:
  /// @param line where, if known; 0 otherwise
  explicit TemplateError(const std::string& problem, int line = 0)
      : std::runtime_error(line > 0 ? problem + " at line " + std::to_string(line) : problem), line_(line) {}
  [[nodiscard]] int line() const { return line_; }

 private:
  int line_;
};

class TemplateValue;
using TemplateValues = std::vector<TemplateValue>;

/// Python's sequences. A view (dict.items()) has a length but no positions; a generator (the filter map) has neither.
enum class ListKind { list, tuple, view, generator };

/// Immutable, cheap to copy. How deep lists nest and how much they hold is bounded, so whoever walks them may recurse.
class TemplateValue {
 public:
  struct Undefined {
    std::shared_ptr<const std::string> name;  ///< what was looked up
  };
  struct List;
  struct Dict;
  /// The only thing that a template can change; lives as long as the rendering.
  struct Namespace;
  /// A function, a macro, or a method of a value.
  struct Callable;
  using Entry = std::pair<std::string, TemplateValue>;
  using Entries = std::vector<Entry>;

  static TemplateValue undefined(std::string name);
  TemplateValue(std::nullptr_t) : data_(nullptr) {}                           // NOLINT
  TemplateValue(bool value) : data_(value) {}                                 // NOLINT
  TemplateValue(std::int64_t value) : data_(value) {}                         // NOLINT
  TemplateValue(double value) : data_(value) {}                               // NOLINT
  TemplateValue(std::string text);                                            // NOLINT
  TemplateValue(std::string_view text) : TemplateValue(std::string(text)) {}  // NOLINT
  TemplateValue(const char* text) : TemplateValue(std::string(text)) {}       // NOLINT
  TemplateValue(TemplateValues items, ListKind kind = ListKind::list);        // NOLINT
  TemplateValue(Entries entries);                                             // NOLINT
  TemplateValue(Namespace* space) : data_(space) {}                           // NOLINT
  explicit TemplateValue(Callable callable);
  static TemplateValue of_size(std::size_t size) { return static_cast<std::int64_t>(size); }
  /// @throws TemplateError if it nests too deeply
  static TemplateValue from_json(const nlohmann::ordered_json& json);

  [[nodiscard]] bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  [[nodiscard]] bool is_none() const { return std::holds_alternative<std::nullptr_t>(data_); }
  [[nodiscard]] bool is_boolean() const { return std::holds_alternative<bool>(data_); }
  [[nodiscard]] bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }
  [[nodiscard]] bool is_float() const { return std::holds_alternative<double>(data_); }
  /// Truth values are numbers in Python.
  [[nodiscard]] bool is_number() const { return is_boolean() || is_integer() || is_float(); }
  [[nodiscard]] bool is_text() const { return std::holds_alternative<std::shared_ptr<const std::string>>(data_); }
  [[nodiscard]] bool is_list() const { return std::holds_alternative<std::shared_ptr<const List>>(data_); }
  [[nodiscard]] bool is_list(ListKind kind) const { return is_list() && this->kind() == kind; }
  [[nodiscard]] bool is_dict() const { return std::holds_alternative<std::shared_ptr<const Dict>>(data_); }
  [[nodiscard]] bool is_callable() const { return std::holds_alternative<std::shared_ptr<const Callable>>(data_); }

  // Each for a value of that type only.
  [[nodiscard]] const std::string& text() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
  [[nodiscard]] const TemplateValues& items() const;
  [[nodiscard]] ListKind kind() const;
  [[nodiscard]] const Entries& entries() const;
  [[nodiscard]] const Callable& callable() const { return *std::get<std::shared_ptr<const Callable>>(data_); }
  [[nodiscard]] const std::string& undefined_name() const { return *std::get<Undefined>(data_).name; }
  /// Null for another type.
  [[nodiscard]] Namespace* space() const;
  /// A number, as the type asked for. @throws TemplateError for another type
  [[nodiscard]] std::int64_t integer() const;
  [[nodiscard]] double number() const;
  /// An entry of a dict; null if there is none.
  [[nodiscard]] const TemplateValue* find(std::string_view key) const;

  /// Levels of lists and dicts.
  [[nodiscard]] int depth() const;
  /// About the bytes that it prints as.
  [[nodiscard]] std::size_t weight() const;

 private:
  std::variant<Undefined, std::nullptr_t, bool, std::int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>, Namespace*, std::shared_ptr<const Callable>>
      data_;
};

struct TemplateValue::Namespace {
  Entries entries;
};

struct TemplateValue::Callable {
  std::string name;
  const Statement* macro = nullptr;     ///< its definition, if it is one
  std::vector<TemplateValue> object{};  ///< what it is a method of: none or one
};

/// A text that may not grow beyond a limit.
class TextBuilder {
 public:
  static constexpr std::size_t limit = std::size_t{16} << 20U;
  /// @throws TemplateError
  TextBuilder& append(std::string_view part);
  [[nodiscard]] std::size_t size() const { return text_.size(); }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// Python's bool(), str(), repr() and ==.
bool is_true(const TemplateValue& value);
std::string to_text(const TemplateValue& value);
std::string to_repr(const TemplateValue& value);
bool equal(const TemplateValue& a, const TemplateValue& b);
/// Python's <. @throws TemplateError for values that have no order
bool less(const TemplateValue& a, const TemplateValue& b);
/// What a loop over @p value gives. @throws TemplateError if it cannot be looped over
TemplateValues elements(const TemplateValue& value);

struct JsonStyle {
  std::string indent;  ///< of one level
  bool multiline = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
/// Python's json.dumps.
std::string to_json(const TemplateValue& value, const JsonStyle& style);

}  // namespace shoal::text
