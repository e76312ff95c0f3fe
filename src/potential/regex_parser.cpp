#include "potential/regex_parser.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "potential/quote.hpp"
#include "shoal/error.hpp"

namespace shoal {
namespace {

constexpr int deepest_nesting = 250;
constexpr int largest_count = 100'000;
constexpr std::uint32_t last_code_point = 0x10ffff;

struct Flags {
  bool ignore_case = false;
  bool dot_matches_newline = false;
  bool multi_line = false;
};

struct Symbol {
  std::uint32_t code_point;
  std::size_t offset;  ///< in bytes
};

/// An escape inside or outside a class stands for one code point, or for a set of them.
struct Escape {
  CodePointSet set;
  std::optional<std::uint32_t> code_point;
};

bool is_digit(std::uint32_t c) { return c >= '0' && c <= '9'; }
bool is_octal(std::uint32_t c) { return c >= '0' && c <= '7'; }
bool is_alphanumeric(std::uint32_t c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

int hex_value(std::uint32_t c) {
  if (is_digit(c)) return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A') + 10;
  return -1;
}

CodePointSet digits() { return {{'0', '9'}}; }
CodePointSet word_characters() { return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}; }
CodePointSet spaces() { return {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}; }

std::optional<CodePointSet> posix_class(std::string_view name) {
  using Entry = std::pair<std::string_view, CodePointSet>;
  const std::array<Entry, 14> classes{{
      {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
      {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
      {"ascii", {{0, 0x7f}}},
      {"blank", {{'\t', '\t'}, {' ', ' '}}},
      {"cntrl", {{0, 0x1f}, {0x7f, 0x7f}}},
      {"digit", digits()},
      {"graph", {{'!', '~'}}},
      {"lower", {{'a', 'z'}}},
      {"print", {{' ', '~'}}},
      {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
      {"space", {{'\t', '\r'}, {' ', ' '}}},
      {"upper", {{'A', 'Z'}}},
      {"word", word_characters()},
      {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
  }};
  for (const auto& [known, set] : classes)
    if (known == name) return set;
  return std::nullopt;
}

RegexNode set_node(CodePointSet set) {
  RegexNode node;
  node.kind = RegexNode::Kind::set;
  node.set = std::move(set);
  return node;
}

RegexNode assertion_node(Assertion assertion) {
  RegexNode node;
  node.kind = RegexNode::Kind::assertion;
  node.assertion = assertion;
  return node;
}

/// A node over @p children; a single child stands for itself.
RegexNode joined(RegexNode::Kind kind, std::vector<RegexNode> children) {
  if (children.size() == 1) return std::move(children.front());
  RegexNode node;
  if (children.empty()) return node;
  node.kind = kind;
  node.children = std::move(children);
  return node;
}

/// Recursive descent over the pattern's code points.
class Parser {
 public:
  Parser(std::string_view pattern, CaseRule initial) : pattern_(pattern) {
    flags_.ignore_case = initial == CaseRule::insensitive;
    for (std::size_t offset = 0; offset < pattern.size();) {
      const auto decoded = decode_utf8(pattern.substr(offset));
      if (!decoded)
        fail("not valid UTF-8", symbols_.size(), "save the pattern as UTF-8 or write the bytes as \\x{...}");
      symbols_.push_back({decoded->code_point, offset});
      offset += static_cast<std::size_t>(decoded->size);
    }
  }

  ParsedRegex parse() {
    RegexNode root = alternation();
    if (!done()) fail("unmatched )", at_, "escape it as \\)");
    return {std::move(root), size_error()};
  }

 private:
  [[noreturn]] void fail(const std::string& problem, std::size_t index, const std::string& advice) const {
    throw UsageError("bad regex " + quote(pattern_) + ": " + problem + " (at position " + std::to_string(index + 1) +
                     ") " + advice);
  }

  [[nodiscard]] bool done() const { return at_ >= symbols_.size(); }
  [[nodiscard]] std::uint32_t peek(std::size_t ahead = 0) const {
    return at_ + ahead < symbols_.size() ? symbols_[at_ + ahead].code_point : ~0U;
  }
  std::uint32_t take() { return symbols_[at_++].code_point; }
  bool take_if(std::uint32_t c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool take_if(std::string_view ascii) {
    for (std::size_t i = 0; i < ascii.size(); ++i)
      if (peek(i) != static_cast<unsigned char>(ascii[i])) return false;
    at_ += ascii.size();
    return true;
  }
  [[nodiscard]] std::string_view source(std::size_t first, std::size_t end) const {
    const std::size_t stop = end < symbols_.size() ? symbols_[end].offset : pattern_.size();
    return pattern_.substr(symbols_[first].offset, stop - symbols_[first].offset);
  }

  RegexNode alternation() {
    std::vector<RegexNode> branches;
    do {
      branches.push_back(concatenation());
    } while (take_if('|'));
    return joined(RegexNode::Kind::alternate, std::move(branches));
  }

  RegexNode concatenation() {
    std::vector<RegexNode> items;
    while (!done() && peek() != '|' && peek() != ')') {
      if (take_if("\\Q")) {
        quoted(&items);
      } else if (peek() == '(' && is_flag_setting()) {
        group();
      } else {
        items.push_back(repeated(atom()));
      }
    }
    return joined(RegexNode::Kind::concat, std::move(items));
  }

  /// After \Q: literals up to \E; a repetition binds to the last of them.
  void quoted(std::vector<RegexNode>* items) {
    bool any = false;
    while (!done() && !take_if("\\E")) {
      items->push_back(literal(take()));
      any = true;
    }
    if (!any) return;
    RegexNode last = std::move(items->back());
    items->back() = repeated(std::move(last));
  }

  RegexNode atom() {
    const std::size_t start = at_;
    switch (const std::uint32_t c = take()) {
      case '(':
        --at_;
        return group();
      case '[':
        return set_node(char_class());
      case '.':
        return set_node(flags_.dot_matches_newline ? CodePointSet{{0, last_code_point}}
                                                   : CodePointSet{{'\n', '\n'}}.complement());
      case '^':
        return assertion_node(flags_.multi_line ? Assertion::line_begin : Assertion::text_begin);
      case '$':
        return assertion_node(flags_.multi_line ? Assertion::line_end : Assertion::text_end);
      case '*':
      case '+':
      case '?':
        fail(std::string("nothing to repeat before ") + static_cast<char>(c), start,
             std::string("escape it as \\") + static_cast<char>(c));
      case '\\':
        return escaped_atom(start);
      case '{':
        --at_;
        if (counted_repetition()) fail("nothing to repeat before {", start, "escape it as \\{");
        return literal(take());
      default:
        return literal(c);
    }
  }

  [[nodiscard]] RegexNode literal(std::uint32_t c) const {
    const CodePointSet single{{c, c}};
    return set_node(flags_.ignore_case ? single.case_folded() : single);
  }

  RegexNode escaped_atom(std::size_t start) {
    switch (peek()) {
      case 'A':
        ++at_;
        return assertion_node(Assertion::text_begin);
      case 'z':
        ++at_;
        return assertion_node(Assertion::text_end);
      case 'b':
        ++at_;
        return assertion_node(Assertion::word_boundary);
      case 'B':
        ++at_;
        return assertion_node(Assertion::no_word_boundary);
      default:
        break;
    }
    const Escape parsed = escape(start);
    return parsed.code_point ? literal(*parsed.code_point) : set_node(parsed.set);
  }

  // --- repetition ---

  RegexNode repeated(RegexNode item) {
    const std::size_t start = at_;
    const auto bounds = repetition();
    if (!bounds) return item;
    if (peek() == '+') fail("possessive repetition", at_, "remove the second +: possessive matching is not supported");
    take_if('?');
    if (peek() == '*' || peek() == '+' || peek() == '?')
      fail("repetition of a repetition", at_, "put (?:...) around it");
    const std::size_t end = at_;
    if (repetition()) fail("repetition of a repetition", end, "put (?:...) around it");
    remember_largest(*bounds, start, end);
    RegexNode node;
    node.kind = RegexNode::Kind::repeat;
    node.min = bounds->first;
    node.max = bounds->second;
    node.children.push_back(std::move(item));
    return node;
  }

  /// The repetition operator here, if there is one.
  std::optional<std::pair<int, int>> repetition() {
    if (take_if('*')) return std::pair{0, RegexNode::unbounded};
    if (take_if('+')) return std::pair{1, RegexNode::unbounded};
    if (take_if('?')) return std::pair{0, 1};
    if (peek() == '{') return counted_repetition();
    return std::nullopt;
  }

  /// {m}, {m,} or {m,n}; anything else in braces is literal text.
  std::optional<std::pair<int, int>> counted_repetition() {
    const std::size_t start = at_;
    ++at_;
    const auto min = count(start);
    std::optional<int> max = min;
    bool open = false;
    if (min && take_if(',')) {
      max = count(start);
      open = !max;
    }
    if (!min || !take_if('}')) {
      at_ = start;
      return std::nullopt;
    }
    if (!open && *max < *min) fail("repetition bounds out of order", start, "write the smaller number first");
    return std::pair{*min, open ? RegexNode::unbounded : *max};
  }

  std::optional<int> count(std::size_t start) {
    if (!is_digit(peek())) return std::nullopt;
    int value = 0;
    while (is_digit(peek())) {
      value = value * 10 + static_cast<int>(take() - '0');
      if (value > largest_count)
        fail("repetition count too large", start, "use at most " + std::to_string(largest_count));
    }
    return value;
  }

  void remember_largest(std::pair<int, int> bounds, std::size_t start, std::size_t end) {
    const int size = std::max(bounds.first, bounds.second);
    if (size <= largest_repetition_) return;
    largest_repetition_ = size;
    largest_repetition_text_ =
        "the repetition " + std::string(source(start, end)) + " at position " + std::to_string(start + 1);
  }

  [[nodiscard]] std::string size_error() const {
    return "bad regex " + quote(pattern_) + ": too large (its automaton has more states than the limit) " +
           (largest_repetition_ > 1 ? "reduce " + largest_repetition_text_ : "shorten or split the pattern");
  }

  // --- groups and flags ---

  /// Whether the group here only sets flags for what follows, as (?i) does.
  [[nodiscard]] bool is_flag_setting() const {
    if (peek(1) != '?') return false;
    std::size_t ahead = 2;
    while (is_alphanumeric(peek(ahead)) || peek(ahead) == '-') ++ahead;
    return ahead > 2 && peek(ahead) == ')' && peek(2) != 'R' && !is_digit(peek(2));
  }

  RegexNode group() {
    const std::size_t open = at_++;
    if (++depth_ > deepest_nesting)
      fail("groups nested too deeply", open, "nest at most " + std::to_string(deepest_nesting) + " groups");
    const Flags outer = flags_;
    if (take_if('?') && !group_prefix(open)) {
      --depth_;
      return {};
    }
    RegexNode inside = alternation();
    if (!take_if(')')) fail("missing )", open, "close the group");
    flags_ = outer;
    --depth_;
    return inside;
  }

  /// After "(?": names and flags. Returns false for a group that sets flags and holds nothing.
  bool group_prefix(std::size_t open) {
    if (take_if(':')) return true;
    refuse_irregular(open);
    if (take_if("P<") || take_if('<')) {
      group_name(open);
      return true;
    }
    return set_flags(open);
  }

  void refuse_irregular(std::size_t open) const {
    const std::uint32_t c = peek();
    const bool behind = c == '<' && (peek(1) == '=' || peek(1) == '!');
    if (c == '=' || c == '!' || behind)
      fail("look-around", open, "rewrite the pattern without it: only regular patterns can be checked byte by byte");
    if (c == '>') fail("atomic group", open, "use (?:...) instead");
    if (c == '#') fail("comment", open, "remove it");
    if (c == '|') fail("branch-reset group", open, "use (?:...) instead");
    const bool named = c == 'P' && (peek(1) == '=' || peek(1) == '>');
    if (named || c == 'R' || c == '&' || c == '(' || c == '+' || is_digit(c))
      fail("back-reference, condition or recursion", open, "write the group out: such patterns are not regular");
  }

  void group_name(std::size_t open) {
    const std::size_t first = at_;
    while (is_alphanumeric(peek()) || peek() == '_') ++at_;
    const std::size_t end = at_;
    if (end == first || !take_if('>')) fail("bad group name", open, "write (?P<name>...) with letters, digits or _");
    if (!names_.insert(std::string(source(first, end))).second)
      fail("group name used twice", first, "choose another name");
  }

  bool set_flags(std::size_t open) {
    bool value = true;
    bool any = false;
    for (;; any = true) {
      const std::size_t here = at_;
      if (done()) fail("missing )", open, "close the group");
      switch (take()) {
        case 'i':
          flags_.ignore_case = value;
          break;
        case 's':
          flags_.dot_matches_newline = value;
          break;
        case 'm':
          flags_.multi_line = value;
          break;
        case 'U':
          break;
        case '-':
          if (!value) fail("bad flags", here, "write one - only");
          value = false;
          break;
        case ':':
          return true;
        case ')':
          if (!any) fail("empty flags", open, "name flags among i, m, s, U or use (?:...)");
          return false;
        default:
          fail("unknown flag or group", here, "use flags i, m, s, U, (?:...) or (?P<name>...)");
      }
    }
  }

  // --- escapes ---

  /// After the backslash at @p start.
  Escape escape(std::size_t start) {
    if (done()) fail("backslash at the end", start, "write \\\\ for a backslash");
    const std::uint32_t c = take();
    switch (c) {
      case 'd':
        return {digits(), {}};
      case 'D':
        return {digits().complement(), {}};
      case 's':
        return {spaces(), {}};
      case 'S':
        return {spaces().complement(), {}};
      case 'w':
        return {word_characters(), {}};
      case 'W':
        return {word_characters().complement(), {}};
      case 'p':
        return {unicode_escape(start, false), {}};
      case 'P':
        return {unicode_escape(start, true), {}};
      case 'a':
        return {{}, '\a'};
      case 'f':
        return {{}, '\f'};
      case 'n':
        return {{}, '\n'};
      case 'r':
        return {{}, '\r'};
      case 't':
        return {{}, '\t'};
      case 'v':
        return {{}, '\v'};
      case 'x':
        return {{}, hex_escape(start)};
      case 'k':
      case 'g':
        fail("back-reference", start, "write the group out: such patterns are not regular");
      default:
        break;
    }
    if (is_digit(c)) return {{}, octal_escape(start, c)};
    if (c >= 0x80 || is_alphanumeric(c))
      fail("unknown escape " + std::string(source(start, at_)), start,
           c == 'Z' ? "use \\z for the end of the text" : "remove the backslash to match the letter itself");
    return {{}, c};
  }

  std::uint32_t octal_escape(std::size_t start, std::uint32_t first) {
    if (first != '0' && !(is_octal(first) && is_octal(peek())))
      fail("back-reference", start, "write the group out: such patterns are not regular");
    std::uint32_t value = first - '0';
    for (int i = 0; i < 2 && is_octal(peek()); ++i) value = value * 8 + (take() - '0');
    return value;
  }

  std::uint32_t hex_escape(std::size_t start) {
    const bool braces = take_if('{');
    std::uint32_t value = 0;
    std::size_t count = 0;
    while (hex_value(peek()) >= 0 && (braces || count < 2)) {
      value = value * 16 + static_cast<std::uint32_t>(hex_value(take()));
      ++count;
      if (value > last_code_point) fail("code point too large", start, "use at most \\x{10FFFF}");
    }
    if (braces ? count == 0 || !take_if('}') : count < 2) fail("bad \\x", start, "write \\xHH or \\x{H...}");
    if (value >= 0xd800 && value <= 0xdfff) fail("surrogate", start, "name a code point that UTF-8 can hold");
    return value;
  }

  CodePointSet unicode_escape(std::size_t start, bool negated) {
    std::size_t first = at_;
    std::size_t end = at_ + 1;
    if (done()) fail("bad \\p", start, "write \\pL or \\p{Lu}");
    if (take_if('{')) {
      if (take_if('^')) negated = !negated;
      first = at_;
      while (!done() && peek() != '}') ++at_;
      end = at_;
      if (done() || end == first) fail("bad \\p", start, "write \\pL or \\p{Lu}");
    }
    ++at_;
    const std::string name(source(first, end));
    auto set = unicode_class(name);
    if (!set)
      fail("unknown Unicode class " + quote(name), start,
           "use a category such as L, Lu, Nd, P or a script such as Greek");
    if (flags_.ignore_case) set = set->case_folded();
    return negated ? set->complement() : *set;
  }

  // --- classes ---

  /// After the opening bracket.
  CodePointSet char_class() {
    const std::size_t open = at_ - 1;
    const bool negated = take_if('^');
    CodePointSet set;
    for (bool first = true; first || peek() != ']'; first = false) {
      if (done()) fail("missing ]", open, "close the character class");
      class_item(open, &set);
    }
    ++at_;
    return negated ? set.complement() : set;
  }

  void class_item(std::size_t open, CodePointSet* set) {
    const std::size_t start = at_;
    if (peek() == '[' && peek(1) == ':' && posix_item(set)) return;
    const Escape low = class_atom(open);
    if (!low.code_point) {
      set->add(low.set);
      if (peek() == '-' && peek(1) != ']' && peek(1) != ~0U)
        fail("bad range", start, "put - first or last in the class, or write \\-");
      return;
    }
    std::uint32_t last = *low.code_point;
    if (peek() == '-' && peek(1) != ']') {
      ++at_;
      const Escape high = class_atom(open);
      if (!high.code_point) fail("bad range", start, "a range needs a single character at each end");
      last = *high.code_point;
      if (last < *low.code_point) fail("range out of order", start, "write the smaller character first");
    }
    const CodePointSet range{{*low.code_point, last}};
    set->add(flags_.ignore_case ? range.case_folded() : range);
  }

  Escape class_atom(std::size_t open) {
    if (done()) fail("missing ]", open, "close the character class");
    const std::size_t start = at_;
    const std::uint32_t c = take();
    if (c != '\\') return {{}, c};
    return escape(start);
  }

  /// [:name:] or [:^name:]; false when the bracket is an ordinary character.
  bool posix_item(CodePointSet* set) {
    const std::size_t start = at_;
    std::size_t ahead = 2;
    const bool negated = peek(ahead) == '^';
    if (negated) ++ahead;
    const std::size_t first = at_ + ahead;
    while (is_alphanumeric(peek(ahead))) ++ahead;
    if (peek(ahead) != ':' || peek(ahead + 1) != ']') return false;
    const std::string name(source(first, at_ + ahead));
    const auto named = posix_class(name);
    if (!named) fail("unknown class [:" + name + ":]", start, "use alpha, digit, alnum, space, punct, ...");
    const CodePointSet members = flags_.ignore_case ? named->case_folded() : *named;
    set->add(negated ? members.complement() : members);
    at_ += ahead + 2;
    return true;
  }

  std::string_view pattern_;
  std::vector<Symbol> symbols_;
  std::size_t at_ = 0;
  int depth_ = 0;
  Flags flags_;
  std::set<std::string> names_;
  int largest_repetition_ = 0;
  std::string largest_repetition_text_;
};

}  // namespace

ParsedRegex parse_regex(std::string_view pattern, CaseRule initial) { return Parser(pattern, initial).parse(); }

}  // namespace shoal
