#include "trace/html_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace shoal::trace {
namespace {

std::string format(const char* pattern, int digits, double value) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), pattern, digits, value);
  return text.data();
}

/// The number that @p text is, with a minus sign instead of a hyphen.
std::string with_minus(std::string text) {
  if (text.starts_with('-')) text.replace(0, 1, "\u2212");
  if (const auto exponent = text.find("e-"); exponent != std::string::npos) text.replace(exponent + 1, 1, "\u2212");
  return text;
}

std::string no_number(double value) {
  if (std::isnan(value)) return "\u2013";
  return value > 0 ? "\u221e" : "\u2212\u221e";
}

/// A whole number if nothing but zeros follows the point.
std::string without_zeros(std::string text) {
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string with_unit(double value, double step, const char* const* units, std::size_t count) {
  std::size_t unit = 0;
  for (; unit + 1 < count && std::abs(value) >= step; ++unit) value /= step;
  return significant(value, 3) + "\u202f" + units[unit];
}

}  // namespace

std::string script_string(std::string_view text) {
  const std::string json =
      nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string safe;
  for (const char c : json) safe += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return safe;
}

std::string escaped(std::string_view text) {
  // The JSON library knows what is UTF-8.
  const std::string valid = nlohmann::json::parse(
      nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::string out;
  for (const char c : valid) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if (code < 0x20 && c != '\n' && c != '\t')
      out += {'\xe2', '\x90', static_cast<char>(0x80 + code)};
    else if (code == 0x7f)
      out += "\u2421";
    else
      out += c;
  }
  return out;
}

std::size_t incomplete_tail(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0U) == 0x80U) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

std::string shortened(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  text = text.substr(0, max_bytes);
  return std::string(text.substr(0, text.size() - incomplete_tail(text))) + "\u2026";
}

std::string fixed(double value, int digits) {
  return std::isfinite(value) ? with_minus(format("%.*f", digits, value)) : no_number(value);
}

std::string significant(double value, int digits) {
  if (!std::isfinite(value)) return no_number(value);
  const double size = std::abs(value);
  if (size >= 1e3 && size < 1e9) return grouped(value);
  if (size >= 1e9 || (size > 0 && size < 1e-4)) return with_minus(format("%.*g", digits, value));
  const int whole = size < 1 ? 1 : static_cast<int>(std::floor(std::log10(size))) + 1;
  const int decimals =
      size > 0 && size < 1 ? digits - 1 - static_cast<int>(std::floor(std::log10(size))) : digits - whole;
  return with_minus(without_zeros(format("%.*f", std::max(decimals, 0), value)));
}

std::string grouped(double value) {
  if (!std::isfinite(value)) return no_number(value);
  std::string text = format("%.*f", 0, value);
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  for (std::size_t at = text.size(); at > first + 3;) text.insert(at -= 3, ",");
  return with_minus(text);
}

std::string percent(double probability) {
  if (!std::isfinite(probability)) return no_number(probability);
  const double value = 100.0 * probability;
  if (value > 0 && value < 0.01) return "<\u202f0.01\u202f%";
  return (value >= 99.95 || value == 0 ? fixed(value, 0) : fixed(value, value < 1 ? 2 : 1)) + "\u202f%";
}

std::string seconds_text(double seconds) {
  if (!std::isfinite(seconds)) return no_number(seconds);
  if (seconds == 0) return "0\u202fs";
  if (std::abs(seconds) < 1e-3) return significant(seconds * 1e6, 3) + "\u202f\u00b5s";
  if (std::abs(seconds) < 1) return significant(seconds * 1e3, 3) + "\u202fms";
  return (seconds < 1000 ? significant(seconds, 3) : grouped(seconds)) + "\u202fs";
}

std::string bytes_text(double bytes) {
  if (!std::isfinite(bytes)) return no_number(bytes);
  static constexpr std::array<const char*, 5> units{"B", "kB", "MB", "GB", "TB"};
  return with_unit(bytes, 1000.0, units.data(), units.size());
}

std::string json_number(double value, int digits) {
  return std::isfinite(value) ? format("%.*g", digits, value) : "null";
}

std::string coordinate(double value) { return without_zeros(format("%.*f", 1, value)); }

}  // namespace shoal::trace
