// Fnv1a: a 64-bit fingerprint of bytes (Fowler-Noll-Vo 1a); tells checkpoints apart, is no protection against malice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace shoal::lm {

class Fnv1a {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  void add(std::span<const std::byte> bytes) {
    add(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  void add(std::uint64_t value) { add(std::string_view(reinterpret_cast<const char*>(&value), sizeof value)); }
  [[nodiscard]] std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

/// 16 hexadecimal digits.
std::string to_hex(std::uint64_t value);

}  // namespace shoal::lm
