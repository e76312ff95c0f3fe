#include "text/byte_level.hpp"

#include <array>
#include <unordered_map>

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

const std::unordered_map<std::string, char>& byte_of_character() {
  static const auto table = [] {
    std::unordered_map<std::string, char> map;
    for (std::size_t byte = 0; byte < 256; ++byte) map[character_of_byte()[byte]] = static_cast<char>(byte);
    return map;
  }();
  return table;
}

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += character_of_byte()[static_cast<unsigned char>(byte)];
  return out;
}

std::string from_byte_level(std::string_view piece) {
  std::string bytes;
  for (const std::string& character : characters(piece)) {
    const auto found = byte_of_character().find(character);
    if (found == byte_of_character().end()) return std::string(piece);
    bytes += found->second;
  }
  return bytes;
}

}  // namespace shoal::text
