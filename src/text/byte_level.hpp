// The printable stand-ins for bytes that byte-level BPE files are written in (GPT-2's bytes_to_unicode).
#pragma once

#include <string>
#include <string_view>

namespace shoal::text {

/// Every byte as its stand-in character.
std::string to_byte_level(std::string_view bytes);
/// The bytes that @p piece stands for; the piece itself if some character is no stand-in.
std::string from_byte_level(std::string_view piece);

}  // namespace shoal::text
