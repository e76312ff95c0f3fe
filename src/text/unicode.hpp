// Small questions about UTF-8 text that tokenizers ask.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::text {

/// Offset of the first byte that is not valid UTF-8.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);
/// Each maximal invalid part becomes U+FFFD (Unicode 15, section 3.9, "substitution of maximal subparts").
std::string replace_invalid_utf8(std::string_view bytes);

/// The character that valid UTF-8 begins with; @p text is not empty.
std::string_view first_character(std::string_view text);
std::string_view last_character(std::string_view text);
char32_t code_point_of(std::string_view character);
std::string encoded(char32_t code_point);
/// The characters of valid UTF-8, as strings.
std::vector<std::string> characters(std::string_view text);
void append_utf8(char32_t code_point, std::string* out);

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);
std::string lower_case(std::string_view text);
std::string upper_case(std::string_view text);

/// Bytes of white space at the end (beginning) of the text.
std::size_t space_at_end(std::string_view text);
std::size_t space_at_begin(std::string_view text);

}  // namespace shoal::text
