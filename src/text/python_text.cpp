#include "text/python_text.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/unicode.hpp"

namespace shoal::text::python {
namespace {

bool is_space(char32_t c) { return (c >= 0x1C && c <= 0x1F) || space_at_begin(encoded(c)) > 0; }

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

utf8proc_category_t category_of(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool is_upper(char32_t c) { return category_of(c) == UTF8PROC_CATEGORY_LU || category_of(c) == UTF8PROC_CATEGORY_LT; }
bool is_lower(char32_t c) { return category_of(c) == UTF8PROC_CATEGORY_LL; }
bool is_letter(char32_t c) {
  return is_upper(c) || is_lower(c) || category_of(c) == UTF8PROC_CATEGORY_LM || category_of(c) == UTF8PROC_CATEGORY_LO;
}
bool is_digit(char32_t c) { return category_of(c) == UTF8PROC_CATEGORY_ND; }

bool is_printable(char32_t c) {
  switch (category_of(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return c == ' ';
    default:
      return true;
  }
}

/// Calls @p visit with each character's code point and text.
template <class Visit>
void for_each_character(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::string_view character = first_character(text);
    visit(code_point_of(character), character);
    text.remove_prefix(character.size());
  }
}

/// Words between white space; after @p most splits the rest is one word.
std::vector<std::string> words(std::string_view text, std::int64_t most) {
  std::vector<std::string> all;
  for (text = stripped(text, std::nullopt, Side::left); !text.empty();
       text = stripped(text, std::nullopt, Side::left)) {
    if (most >= 0 && static_cast<std::int64_t>(all.size()) >= most) {
      all.emplace_back(text);
      break;
    }
    std::size_t end = 0;
    while (end < text.size()) {
      const std::string_view character = first_character(text.substr(end));
      if (is_space(code_point_of(character))) break;
      end += character.size();
    }
    all.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return all;
}

std::vector<std::string> words_from_right(std::string_view text, std::int64_t most) {
  std::vector<std::string> all;
  for (text = stripped(text, std::nullopt, Side::right); !text.empty();
       text = stripped(text, std::nullopt, Side::right)) {
    if (most >= 0 && static_cast<std::int64_t>(all.size()) >= most) {
      all.emplace_back(text);
      break;
    }
    std::size_t begin = text.size();
    while (begin > 0) {
      const std::string_view character = last_character(text.substr(0, begin));
      if (is_space(code_point_of(character))) break;
      begin -= character.size();
    }
    all.emplace_back(text.substr(begin));
    text.remove_suffix(text.size() - begin);
  }
  std::reverse(all.begin(), all.end());
  return all;
}

std::string hex_escape(char32_t c) {
  std::array<char, 12> buffer{};
  const char* const format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(buffer.data(), buffer.size(), format, static_cast<unsigned>(c));
  return buffer.data();
}

std::string utf16_escape(char32_t c) {
  std::array<char, 16> buffer{};
  if (c < 0x10000) {
    std::snprintf(buffer.data(), buffer.size(), "\\u%04x", static_cast<unsigned>(c));
  } else {
    const unsigned offset = static_cast<unsigned>(c) - 0x10000U;
    std::snprintf(buffer.data(), buffer.size(), "\\u%04x\\u%04x", 0xD800U + (offset >> 10U),
                  0xDC00U + (offset & 0x3FFU));
  }
  return buffer.data();
}

/// The letter of the short escape of a control character or of the backslash; 0 if there is none.
char short_escape(char32_t c, bool json) {
  if (c == '\\') return '\\';
  if (c == '\n') return 'n';
  if (c == '\r') return 'r';
  if (c == '\t') return 't';
  if (json && c == '\b') return 'b';
  if (json && c == '\f') return 'f';
  if (json && c == '"') return '"';
  return 0;
}

}  // namespace

std::string_view stripped(std::string_view text, const std::optional<std::string_view>& characters, Side side) {
  const auto goes = [&](std::string_view character) {
    return characters ? characters->find(character) != std::string_view::npos : is_space(code_point_of(character));
  };
  while (side != Side::right && !text.empty() && goes(first_character(text)))
    text.remove_prefix(first_character(text).size());
  while (side != Side::left && !text.empty() && goes(last_character(text)))
    text.remove_suffix(last_character(text).size());
  return text;
}

std::vector<std::string> split(std::string_view text, const std::optional<std::string_view>& separator,
                               std::int64_t most) {
  if (!separator) return words(text, most);
  std::vector<std::string> parts;
  for (std::size_t at = 0; most != 0 && (at = text.find(*separator)) != std::string_view::npos; --most) {
    parts.emplace_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  parts.emplace_back(text);
  return parts;
}

std::vector<std::string> rsplit(std::string_view text, const std::optional<std::string_view>& separator,
                                std::int64_t most) {
  if (!separator) return words_from_right(text, most);
  std::vector<std::string> parts;
  for (std::size_t at = 0; most != 0 && (at = text.rfind(*separator)) != std::string_view::npos; --most) {
    parts.emplace_back(text.substr(at + separator->size()));
    text = text.substr(0, at);
  }
  parts.emplace_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::size_t end = 0;
    std::size_t next = 0;
    while (next == 0 && end < text.size()) {
      const std::string_view character = first_character(text.substr(end));
      if (is_line_end(code_point_of(character)))
        next = end + (text.substr(end).starts_with("\r\n") ? 2 : character.size());
      else
        end += character.size();
    }
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(next == 0 ? end : next);
  }
  return lines;
}

std::string title(std::string_view text) {
  std::string out;
  bool inside = false;
  for_each_character(text, [&](char32_t c, std::string_view character) {
    out += inside ? lower_case(character) : upper_case(character);
    inside = is_upper(c) || is_lower(c);
  });
  return out;
}

std::string capitalized(std::string_view text) {
  if (text.empty()) return {};
  const std::string_view first = first_character(text);
  return upper_case(first) + lower_case(text.substr(first.size()));
}

bool all_are(std::string_view text, std::string_view question) {
  if (text.empty()) return false;
  bool all = true;
  bool cased = false;
  for_each_character(text, [&](char32_t c, std::string_view) {
    if (question == "isdigit" || question == "isdecimal" || question == "isnumeric") all = all && is_digit(c);
    if (question == "isalpha") all = all && is_letter(c);
    if (question == "isalnum") all = all && (is_letter(c) || is_digit(c));
    if (question == "isspace") all = all && is_space(c);
    if (question == "isupper") all = all && !is_lower(c);
    if (question == "islower") all = all && !is_upper(c);
    cased = cased || is_upper(c) || is_lower(c);
  });
  return all && (cased || (question != "isupper" && question != "islower"));
}

std::string repr(std::string_view text) {
  const bool doubled = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = doubled ? '"' : '\'';
  std::string out(1, quote);
  for_each_character(text, [&](char32_t c, std::string_view character) {
    if (const char letter = short_escape(c, false); letter != 0)
      out.append(1, '\\').append(1, letter);
    else if (c == static_cast<char32_t>(quote))
      out.append(1, '\\').append(1, quote);
    else if (!is_printable(c))
      out += hex_escape(c);
    else
      out += character;
  });
  return out + quote;
}

std::string repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  // Python writes an exponent below -4 and from 16 on.
  const double size = std::fabs(number);
  const auto format =
      size != 0.0 && (size < 1e-4 || size >= 1e16) ? std::chars_format::scientific : std::chars_format::fixed;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format);
  std::string out(buffer.data(), result.ptr);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

std::string json_string(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for_each_character(text, [&](char32_t c, std::string_view character) {
    if (const char letter = short_escape(c, true); letter != 0)
      out.append(1, '\\').append(1, letter);
    else if (c < 0x20 || (ensure_ascii && c >= 0x7F))
      out += utf16_escape(c);
    else
      out += character;
  });
  return out + '"';
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  text = stripped(text, std::nullopt, Side::both);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  text = stripped(text, std::nullopt, Side::both);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double value = 0.0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace shoal::text::python
