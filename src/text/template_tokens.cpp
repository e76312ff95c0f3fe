#include "text/template_tokens.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include "text/template_value.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

using Kind = TemplateToken::Kind;

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_sign(char c) { return c == '-' || c == '+'; }

/// Value of a string literal's content. Escapes as in Python.
class Unescaper {
 public:
  explicit Unescaper(std::string_view source) : rest_(source) {}

  std::string run() {
    while (!rest_.empty()) {
      if (rest_[0] == '\\' && rest_.size() > 1)
        escape();
      else
        out_ += take(1);
    }
    return std::move(out_);
  }

 private:
  std::string_view take(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  void escape() {
    constexpr std::string_view letters = "ntrabfv\\'\"";
    constexpr std::string_view meanings = "\n\t\r\a\b\f\v\\'\"";
    const char letter = rest_[1];
    if (const std::size_t at = letters.find(letter); at != std::string_view::npos) {
      take(2);
      out_ += meanings[at];
    } else if (letter == '\n') {
      take(2);
    } else if (letter == 'x' || letter == 'u' || letter == 'U') {
      take(2);
      code_point(letter == 'x' ? 2 : letter == 'u' ? 4 : 8, 16);
    } else if (letter >= '0' && letter <= '7') {
      take(1);
      std::size_t digits = 1;
      while (digits < 3 && digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '7') ++digits;
      code_point(digits, 8);
    } else if (letter == 'N') {
      throw TemplateError("'\\N' in a string is not supported");
    } else {
      out_ += take(1);  // not an escape: the backslash stays
    }
  }

  void code_point(std::size_t digits, int base) {
    const std::string_view number = take(digits);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value, base);
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (number.size() < digits || end != number.data() + digits || value > 0x10FFFF || surrogate)
      throw TemplateError("bad escape in a string");
    append_utf8(value, &out_);
  }

  std::string_view rest_;
  std::string out_;
};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : rest_(source) {}

  std::vector<TemplateToken> run() {
    while (!rest_.empty()) {
      const std::size_t tag = find_tag();
      std::string text(rest_.substr(0, tag));
      const bool at_tag = tag < rest_.size();
      if (at_tag) strip_before_tag(&text, rest_.substr(tag));
      if (!text.empty()) add(Kind::text, std::move(text));
      advance(tag);
      if (at_tag) read_tag();
    }
    add(Kind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { throw TemplateError(problem, line_); }
  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void advance(std::size_t count) {
    line_ += static_cast<int>(std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(count), '\n'));
    rest_.remove_prefix(count);
  }
  void skip_space() {
    while (!rest_.empty() && is_space(rest_[0])) advance(1);
  }

  [[nodiscard]] std::size_t find_tag() const {
    for (std::size_t at = rest_.find('{'); at != std::string_view::npos; at = rest_.find('{', at + 1))
      if (at + 1 < rest_.size() && std::string_view("{%#").find(rest_[at + 1]) != std::string_view::npos) return at;
    return rest_.size();
  }

  /// {%- takes all white space before it; a statement or comment alone on its line takes the blanks before it.
  void strip_before_tag(std::string* text, std::string_view tag) const {
    const char control = tag.size() > 2 ? tag[2] : ' ';
    if (control == '-') {
      while (!text->empty() && is_space(text->back())) text->pop_back();
    } else if (tag[1] != '{' && control != '+') {
      std::size_t blanks = text->size();
      while (blanks > 0 && is_space((*text)[blanks - 1]) && (*text)[blanks - 1] != '\n') --blanks;
      const bool line_begins = blanks == 0 ? tokens_.empty() || after_newline_ : (*text)[blanks - 1] == '\n';
      if (line_begins) text->resize(blanks);
    }
  }

  void read_tag() {
    const char type = rest_[1];
    if (type == '%' && read_raw()) return;
    advance(2);
    if (!rest_.empty() && is_sign(rest_[0])) advance(1);
    if (type == '#') return skip_comment();
    add(type == '{' ? Kind::open_output : Kind::open_statement, "");
    const std::string_view close = type == '{' ? "}}" : "%}";
    std::string brackets;  // that are open; a tag does not end inside
    for (;;) {
      skip_space();
      if (rest_.empty()) fail("unclosed tag");
      const std::size_t sign = rest_[0] == '-' || (rest_[0] == '+' && type == '%') ? 1 : 0;
      if (brackets.empty() && rest_.substr(sign).starts_with(close)) {
        const char control = sign == 1 ? rest_[0] : ' ';
        advance(sign + 2);
        add(type == '{' ? Kind::close_output : Kind::close_statement, "");
        return strip_after_tag(control, type);
      }
      balance(&brackets);
      read_word();
    }
  }

  void balance(std::string* brackets) const {
    constexpr std::string_view open = "([{";
    constexpr std::string_view closed = ")]}";
    if (open.find(rest_[0]) != std::string_view::npos) brackets->push_back(rest_[0]);
    const std::size_t kind = closed.find(rest_[0]);
    if (kind == std::string_view::npos) return;
    if (brackets->empty() || brackets->back() != open[kind]) fail(std::string("unexpected '") + rest_[0] + "'");
    brackets->pop_back();
  }

  void skip_comment() {
    const std::size_t end = rest_.find("#}");
    if (end == std::string_view::npos) fail("unclosed comment");
    const char control = end > 0 ? rest_[end - 1] : ' ';
    advance(end + 2);
    strip_after_tag(control, '#');
  }

  /// The length of {% word %} with its signs, and the sign at its end.
  struct WordTag {
    std::size_t length;
    char control;
  };
  static std::optional<WordTag> word_tag(std::string_view text, std::string_view word) {
    std::size_t at = 2;
    const auto blanks = [&] {
      while (at < text.size() && is_space(text[at])) ++at;
    };
    if (!text.starts_with("{%")) return std::nullopt;
    if (at < text.size() && is_sign(text[at])) ++at;
    blanks();
    if (!text.substr(at).starts_with(word)) return std::nullopt;
    at += word.size();
    blanks();
    const char control = at < text.size() && is_sign(text[at]) ? text[at++] : ' ';
    if (!text.substr(at).starts_with("%}")) return std::nullopt;
    return WordTag{at + 2, control};
  }

  /// {% raw %}: what lies before {% endraw %} is text, tags and all.
  bool read_raw() {
    const auto open = word_tag(rest_, "raw");
    if (!open || open->control == '+') return false;
    advance(open->length);
    if (open->control == '-') skip_space();
    for (std::size_t at = 0; (at = rest_.find("{%", at)) != std::string_view::npos; at += 2) {
      const auto close = word_tag(rest_.substr(at), "endraw");
      if (!close) continue;
      std::string text(rest_.substr(0, at));
      after_newline_ = false;
      strip_before_tag(&text, rest_.substr(at));
      if (!text.empty()) add(Kind::text, std::move(text));
      advance(at + close->length);
      strip_after_tag(close->control, '%');
      return true;
    }
    fail("missing 'endraw'");
  }

  void strip_after_tag(char control, char type) {
    after_newline_ = false;
    if (control == '-') {
      skip_space();
    } else if (type != '{' && control != '+' && rest_.starts_with('\n')) {
      advance(1);
      after_newline_ = true;
    }
  }

  void read_word() {
    const char c = rest_[0];
    if (c == '\'' || c == '"') return read_string();
    if (is_digit(c)) return read_number();
    std::size_t length = 0;
    while (length < rest_.size() && is_name(rest_[length])) ++length;
    if (length > 0) return take(Kind::name, length);
    constexpr std::array<std::string_view, 6> doubles{"==", "!=", "<=", ">=", "//", "**"};
    const bool is_double = std::any_of(doubles.begin(), doubles.end(), [&](auto m) { return rest_.starts_with(m); });
    if (!is_double && std::string_view("()[]{},.:|+-*/%~<>=").find(c) == std::string_view::npos)
      fail("unexpected character '" + std::string(first_character(rest_)) + "'");
    take(Kind::mark, is_double ? 2 : 1);
  }

  [[nodiscard]] std::size_t digits_from(std::size_t at) const {
    while (at < rest_.size() && is_digit(rest_[at])) ++at;
    return at;
  }

  /// Digits, maybe with a fraction, maybe with an exponent.
  void read_number() {
    std::size_t length = digits_from(0);
    Kind kind = Kind::integer;
    const auto digit_at = [&](std::size_t at) { return at < rest_.size() && is_digit(rest_[at]); };
    // 1.5, but not the 1.5 of items.1.5
    const bool after_dot = !tokens_.empty() && tokens_.back().kind == Kind::mark && tokens_.back().text == ".";
    if (!after_dot && rest_.substr(length).starts_with('.') && digit_at(length + 1)) {
      kind = Kind::number;
      length = digits_from(length + 1);
    }
    if (!after_dot && length < rest_.size() && (rest_[length] == 'e' || rest_[length] == 'E')) {
      const std::size_t sign = length + 1 < rest_.size() && is_sign(rest_[length + 1]) ? 1 : 0;
      if (digit_at(length + 1 + sign)) {
        kind = Kind::number;
        length = digits_from(length + 1 + sign);
      }
    }
    if (length < rest_.size() && is_name(rest_[length]))
      fail("unexpected '" + std::string(1, rest_[length]) + "' in a number");
    take(kind, length);
  }

  void take(Kind kind, std::size_t length) {
    add(kind, std::string(rest_.substr(0, length)));
    advance(length);
  }

  void read_string() {
    const char quote = rest_[0];
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) fail("unclosed string");
    try {
      add(Kind::string, Unescaper(rest_.substr(1, end - 1)).run());
    } catch (const TemplateError& error) {
      fail(error.what());
    }
    advance(end + 1);
  }

  std::string_view rest_;
  std::vector<TemplateToken> tokens_;
  int line_ = 1;
  bool after_newline_ = false;  ///< the last tag swallowed the newline behind it
};

/// Jinja knows one line end, and drops one at the end of a template.
std::string with_plain_newlines(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && source.substr(i + 1).starts_with('\n')) continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

}  // namespace

std::vector<TemplateToken> template_tokens(std::string_view source) { return Lexer(with_plain_newlines(source)).run(); }

}  // namespace shoal::text
