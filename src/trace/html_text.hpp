// Texts and numbers for an HTML page. Internal to src/trace.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shoal::trace {

/// @p text for HTML content and quoted attributes: markup escaped, bytes that are not UTF-8 as U+FFFD, control
/// characters other than line feed and tab as their pictures.
std::string escaped(std::string_view text);

/// @p text as a JSON string that may stand inside <script>; bytes that are not UTF-8 as U+FFFD.
std::string script_string(std::string_view text);

/// The first @p max_bytes of @p text at most, cut between characters; then "…".
std::string shortened(std::string_view text, std::size_t max_bytes);

/// How many bytes at the end of @p text begin a UTF-8 character that is not complete.
std::size_t incomplete_tail(std::string_view text);

// For people: true minus signs, "−∞", "–" for NaN.
std::string fixed(double value, int digits);
std::string significant(double value, int digits);
std::string grouped(double value);  ///< 12,345
std::string percent(double probability);
std::string seconds_text(double seconds);  ///< 1.25 s, 12.5 ms
std::string bytes_text(double bytes);      ///< 1.5 MB

/// For machines: JSON, null if not finite.
std::string json_number(double value, int digits = 6);
/// For SVG: one decimal at most.
std::string coordinate(double value);

}  // namespace shoal::trace
