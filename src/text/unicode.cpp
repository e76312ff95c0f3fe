#include "text/unicode.hpp"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>

#include "base/assert.hpp"

namespace shoal::text {
namespace {

const utf8proc_uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

/// The character at the beginning of @p text and its length; length <= 0 if invalid.
std::pair<utf8proc_int32_t, utf8proc_ssize_t> decode(std::string_view text) {
  utf8proc_int32_t code_point = -1;
  const auto length = utf8proc_iterate(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return {code_point, length};
}

struct ByteRange {
  unsigned char low;
  unsigned char high;
  bool has(char byte) const {
    const auto value = static_cast<unsigned char>(byte);
    return low <= value && value <= high;
  }
};

/// Length of a sequence by its lead byte, and the range of its second byte; length 0 for a byte that cannot lead.
std::pair<std::size_t, ByteRange> expected(unsigned char lead) {
  if (lead < 0x80) return {1, {}};
  if (lead >= 0xC2 && lead <= 0xDF) return {2, {0x80, 0xBF}};
  if (lead == 0xE0) return {3, {0xA0, 0xBF}};
  if (lead == 0xED) return {3, {0x80, 0x9F}};
  if (lead >= 0xE1 && lead <= 0xEF) return {3, {0x80, 0xBF}};
  if (lead == 0xF0) return {4, {0x90, 0xBF}};
  if (lead >= 0xF1 && lead <= 0xF3) return {4, {0x80, 0xBF}};
  if (lead == 0xF4) return {4, {0x80, 0x8F}};
  return {0, {}};
}

struct Part {
  std::size_t length;
  bool valid;
};

/// The character or the maximal invalid part that @p text begins with.
Part first_part(std::string_view text) {
  const auto [length, second] = expected(static_cast<unsigned char>(text[0]));
  if (length == 0) return {1, false};
  std::size_t good = 1;
  while (good < length && good < text.size() && (good == 1 ? second : ByteRange{0x80, 0xBF}).has(text[good])) ++good;
  return {good, good == length};
}

bool is_space(utf8proc_int32_t c) {
  const auto category = utf8proc_category(c);
  return (c >= 9 && c <= 13) || c == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Part part = first_part(text.substr(at));
    if (!part.valid) return at;
    at += part.length;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const Part part = first_part(bytes);
    if (part.valid)
      out += bytes.substr(0, part.length);
    else
      append_utf8(0xFFFD, &out);
    bytes.remove_prefix(part.length);
  }
  return out;
}

std::string_view first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return text.substr(0, 1);
  return text.substr(0, first_part(text).length);
}

std::string_view last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
  return text.substr(begin);
}

char32_t code_point_of(std::string_view character) { return static_cast<char32_t>(decode(character).first); }

std::string encoded(char32_t code_point) {
  std::string character;
  append_utf8(code_point, &character);
  return character;
}

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> all;
  for (; !text.empty(); text.remove_prefix(all.back().size())) all.emplace_back(first_character(text));
  return all;
}

void append_utf8(char32_t code_point, std::string* out) {
  utf8proc_uint8_t buffer[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), buffer);
  out->append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(length));
}

std::string normalize(std::string_view text, NormalForm form) {
  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::nfc || form == NormalForm::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* out = nullptr;
  const auto length = utf8proc_map(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &out,
                                   static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, &std::free);
  if (length < 0) throw std::invalid_argument(utf8proc_errmsg(length));
  return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(length)};
}

std::string lower_case(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view character = first_character(text);
    const auto c = decode(character).first;
    append_utf8(static_cast<char32_t>(utf8proc_tolower(c)), &out);
    if (c == 0x130) append_utf8(0x307, &out);  // the dot of a capital I with dot
    text.remove_prefix(character.size());
  }
  return out;
}

std::string upper_case(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view character = first_character(text);
    const auto c = decode(character).first;
    if (c == 0xDF)
      out += "SS";
    else
      append_utf8(static_cast<char32_t>(utf8proc_toupper(c)), &out);
    text.remove_prefix(character.size());
  }
  return out;
}

std::size_t space_at_end(std::string_view text) {
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const auto last = last_character(text.substr(0, text.size() - bytes));
    if (!is_space(decode(last).first)) break;
    bytes += last.size();
  }
  return bytes;
}

std::size_t space_at_begin(std::string_view text) {
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const auto [c, length] = decode(text.substr(bytes));
    if (length <= 0 || !is_space(c)) break;
    bytes += static_cast<std::size_t>(length);
  }
  return bytes;
}

}  // namespace shoal::text
