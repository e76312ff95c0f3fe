#include "potential/quote.hpp"

#include <utf8proc.h>

#include <array>
#include <cstdio>

namespace shoal {
namespace {

std::string hex_escape(unsigned char byte) {
  std::array<char, 5> text{};
  std::snprintf(text.data(), text.size(), "\\x%02x", static_cast<unsigned>(byte));
  return text.data();
}

}  // namespace

std::string quote(std::string_view text, std::size_t longest) {
  std::string out = "'";
  std::size_t at = 0;
  while (at < text.size() && out.size() < longest) {
    utf8proc_int32_t code_point = 0;
    const auto* rest = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
    const auto size = utf8proc_iterate(rest, static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
    if (size <= 0 || code_point < 0x20 || code_point == 0x7f) {
      out += hex_escape(static_cast<unsigned char>(text[at++]));
    } else {
      out += text.substr(at, static_cast<std::size_t>(size));
      at += static_cast<std::size_t>(size);
    }
  }
  return out + (at < text.size() ? "...'" : "'");
}

std::string quote_path(std::string_view path) { return quote(path, std::string_view::npos); }

}  // namespace shoal
