// Strings and numbers as Python's str treats and prints them; all texts are UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::text::python {

enum class Side { left, right, both };

/// Takes off @p characters, or white space if there are none given.
std::string_view stripped(std::string_view text, const std::optional<std::string_view>& characters, Side side);
/// @param most splits at most; negative = all
std::vector<std::string> split(std::string_view text, const std::optional<std::string_view>& separator,
                               std::int64_t most);
/// From the right.
std::vector<std::string> rsplit(std::string_view text, const std::optional<std::string_view>& separator,
                                std::int64_t most);
std::vector<std::string> split_lines(std::string_view text);

std::string title(std::string_view text);
std::string capitalized(std::string_view text);
/// str.isdigit, isalpha, ...; false for an empty text and an unknown name.
bool all_are(std::string_view text, std::string_view question);

std::string repr(std::string_view text);
std::string repr(double number);
/// A JSON string with its quotes.
std::string json_string(std::string_view text, bool ensure_ascii);
/// int(text), float(text).
std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_float(std::string_view text);

}  // namespace shoal::text::python
