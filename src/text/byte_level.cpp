#include "text/byte_level.hpp"

#include <array>

#include "text/unicode.hpp"

namespace shoal::text {
namespace {

bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

std::array<std::string, 256> stand_ins() {
  std::array<std::string, 256> all;
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte)
    append_utf8(stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++, &all[static_cast<std::size_t>(byte)]);
  return all;
}

const std::array<std::string, 256>& character_of_byte() {
  static const std::array<std::string, 256> table = stand_ins();
  return table;
}

/// The byte that each stand-in stands for; -1 for other code points.
const std::array<int, 324>& byte_of_character() {
  static const auto table = [] {
    std::array<int, 324> bytes;
    bytes.fill(-1);
    for (std::size_t byte = 0; byte < 256; ++byte)
      bytes[code_point_of(character_of_byte()[byte])] = static_cast<int>(byte);
    return bytes;
  }();
  return table;
}

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char byte : bytes) out += character_of_byte()[static_cast<unsigned char>(byte)];
  return out;
}

std::string from_byte_level(std::string_view piece) {
  std::string bytes;
  for (std::string_view rest = piece; !rest.empty();) {
    const std::string_view character = first_character(rest);
    const char32_t code_point = code_point_of(character);
    if (code_point >= byte_of_character().size() || byte_of_character()[code_point] < 0) return std::string(piece);
    bytes += static_cast<char>(byte_of_character()[code_point]);
    rest.remove_prefix(character.size());
  }
  return bytes;
}

}  // namespace shoal::text
