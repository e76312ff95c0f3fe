#include "text/template_tokens.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace shoal::text {
namespace {

using Kind = TemplateToken::Kind;

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : rest_(source) {}

  std::vector<TemplateToken> run() {
    while (!rest_.empty()) {
      const std::size_t tag = find_tag();
      std::string text(rest_.substr(0, tag));
      const bool at_tag = tag < rest_.size();
      if (at_tag) strip_before_tag(&text);
      if (!text.empty()) add(Kind::text, std::move(text));
      advance(tag);
      if (at_tag) read_tag();
    }
    add(Kind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw TemplateError(problem + " at line " + std::to_string(line_));
  }
  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void advance(std::size_t count) {
    line_ += static_cast<int>(std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(count), '\n'));
    rest_.remove_prefix(count);
  }

  [[nodiscard]] std::size_t find_tag() const {
    for (std::size_t at = 0; at + 1 < rest_.size(); ++at)
      if (rest_[at] == '{' && (rest_[at + 1] == '{' || rest_[at + 1] == '%' || rest_[at + 1] == '#')) return at;
    return rest_.size();
  }

  /// {%- takes all white space before it; a block tag alone on its line takes the blanks before it.
  void strip_before_tag(std::string* text) const {
    const std::size_t tag = text->size();
    const char control = tag + 2 < rest_.size() ? rest_[tag + 2] : ' ';
    if (control == '-') {
      while (!text->empty() && is_space(text->back())) text->pop_back();
    } else if (rest_[tag + 1] != '{' && control != '+') {
      const std::size_t blanks = text->find_last_not_of(" \t") + 1;
      const bool line_begins = blanks == 0 ? tokens_.empty() || after_newline_ : (*text)[blanks - 1] == '\n';
      if (line_begins) text->resize(blanks);
    }
  }

  void read_tag() {
    const char type = rest_[1];
    advance(2);
    if (!rest_.empty() && (rest_[0] == '-' || rest_[0] == '+')) advance(1);
    if (type == '#') return skip_comment();
    add(type == '{' ? Kind::open_output : Kind::open_statement, "");
    const std::string_view close = type == '{' ? "}}" : "%}";
    for (;;) {
      while (!rest_.empty() && is_space(rest_[0])) advance(1);
      if (rest_.empty()) fail("unclosed tag");
      const std::size_t sign = (rest_[0] == '-' || rest_[0] == '+') && rest_.substr(1).starts_with(close) ? 1 : 0;
      if (rest_.substr(sign).starts_with(close)) {
        const char control = sign == 1 ? rest_[0] : ' ';
        advance(sign + 2);
        add(type == '{' ? Kind::close_output : Kind::close_statement, "");
        return strip_after_tag(control, type);
      }
      read_word();
    }
  }

  void skip_comment() {
    const std::size_t end = rest_.find("#}");
    if (end == std::string_view::npos) fail("unclosed comment");
    const char control = end > 0 ? rest_[end - 1] : ' ';
    advance(end + 2);
    strip_after_tag(control, '#');
  }

  void strip_after_tag(char control, char type) {
    after_newline_ = false;
    if (control == '-') {
      while (!rest_.empty() && is_space(rest_[0])) advance(1);
    } else if (type != '{' && control != '+' && rest_.starts_with('\n')) {
      advance(1);
      after_newline_ = true;
    }
  }

  void read_word() {
    const char c = rest_[0];
    if (c == '\'' || c == '"') return read_string();
    std::size_t length = 0;
    if (is_digit(c)) {
      while (length < rest_.size() && is_digit(rest_[length])) ++length;
      Kind kind = Kind::integer;
      if (length + 1 < rest_.size() && rest_[length] == '.' && is_digit(rest_[length + 1])) {
        kind = Kind::number;
        for (++length; length < rest_.size() && is_digit(rest_[length]);) ++length;
      }
      return take(kind, length);
    }
    while (length < rest_.size() && is_name(rest_[length])) ++length;
    if (length > 0) return take(Kind::name, length);
    constexpr std::array<std::string_view, 6> doubles{"==", "!=", "<=", ">=", "//", "**"};
    const bool is_double = std::any_of(doubles.begin(), doubles.end(), [&](auto m) { return rest_.starts_with(m); });
    if (!is_double && std::string_view("()[]{},.:|+-*/%~<>=").find(c) == std::string_view::npos)
      fail(std::string("unexpected character '") + c + "'");
    take(Kind::mark, is_double ? 2 : 1);
  }

  void take(Kind kind, std::size_t length) {
    add(kind, std::string(rest_.substr(0, length)));
    advance(length);
  }

  void read_string() {
    const char quote = rest_[0];
    std::string value;
    std::size_t at = 1;
    for (; at < rest_.size() && rest_[at] != quote; ++at) {
      if (rest_[at] == '\\' && at + 1 < rest_.size())
        value += unescaped(rest_[++at]);
      else
        value += rest_[at];
    }
    if (at >= rest_.size()) fail("unclosed string");
    add(Kind::string, std::move(value));
    advance(at + 1);
  }

  static std::string unescaped(char c) {
    switch (c) {
      case 'n':
        return "\n";
      case 't':
        return "\t";
      case 'r':
        return "\r";
      case '\\':
      case '\'':
      case '"':
        return {c};
      default:
        return {'\\', c};
    }
  }

  std::string_view rest_;
  std::vector<TemplateToken> tokens_;
  int line_ = 1;
  bool after_newline_ = false;  ///< the last tag swallowed the newline behind it
};

}  // namespace

std::vector<TemplateToken> template_tokens(std::string_view source) {
  // Jinja drops one newline at the end of a template.
  if (source.ends_with('\n')) source.remove_suffix(1);
  return Lexer(source).run();
}

}  // namespace shoal::text
