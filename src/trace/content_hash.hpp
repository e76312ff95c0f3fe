// ContentHash: a 64-bit fingerprint of values in order. Any one changed word changes it; no protection against malice.
// Internal to src/trace.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace shoal::trace {

class ContentHash {
 public:
  void add(std::uint64_t word) { state_ = std::rotl((state_ ^ word) * 0x9E3779B97F4A7C15ULL, 29); }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value)); }
  void add(std::string_view bytes) {
    add(std::uint64_t{bytes.size()});
    for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(8, bytes.size()))) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), std::min<std::size_t>(8, bytes.size()));
      add(word);
    }
  }
  template <class T>
  void add_all(std::span<const T> values) {
    add(std::string_view(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
  }
  [[nodiscard]] std::uint64_t value() const { return state_ ^ state_ >> 32U; }

 private:
  std::uint64_t state_ = 0x243F6A8885A308D3ULL;
};

}  // namespace shoal::trace
