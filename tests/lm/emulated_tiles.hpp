// EmulatedTiles: Intel's tile instructions in plain C++, as the manual's pseudocode has them ("Intel 64 and IA-32
// Architectures Software Developer's Manual", volume 2: LDTILECFG, TILELOADD, TILESTORED, TDPBF16PS, TDPBUSD). What the
// processor would refuse throws std::logic_error. One set of tiles per thread.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "lm/cpu/tile_product_body.hpp"

namespace shoal::lm::cpu {
namespace {

/// Denormals count as zero, of operands and results alike.
float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x; }
float half_of_word(std::uint32_t word, int half) {
  return flushed(std::bit_cast<float>(half == 0 ? word << 16U : word & 0xFFFF0000U));
}

class EmulatedTiles {
 public:
  static void configure(const TileConfiguration& configuration) {
    std::uint8_t bytes[64];
    std::memcpy(bytes, &configuration, sizeof bytes);
    refuse(bytes[0] != 1 || bytes[1] != 0, "a palette or a start that is not meant");
    for (const auto& [first, end] : {std::pair{2, 16}, {32, 48}, {56, 64}})  // there are eight tiles
      for (int i = first; i < end; ++i) refuse(bytes[i] != 0, "reserved byte " + std::to_string(i) + " is set");
    tiles() = {};
    for (int tile = 0; tile < 8; ++tile)
      shape(tile, bytes[48 + tile], bytes[16 + 2 * tile] + 256 * bytes[17 + 2 * tile]);
    tiles().configured = true;
    ++tiles_configured();
  }
  static void release() { tiles() = {}; }
  static bool released() { return !tiles().configured; }
  /// Times that configure() has been called.
  static int& tiles_configured() {
    static thread_local int count = 0;
    return count;
  }

  template <int tile>
  static void zero() {
    std::memset(valid(tile).data, 0, sizeof valid(tile).data);
  }
  template <int tile>
  static void load(const void* from, std::ptrdiff_t bytes) {
    zero<tile>();
    Tile& to = valid(tile);
    for (int r = 0; r < to.rows; ++r)
      std::memcpy(to.data[r], static_cast<const char*>(from) + r * bytes,
                  static_cast<std::size_t>(to.words * word_bytes));
  }
  template <int tile>
  static void store(void* to, std::ptrdiff_t bytes) {
    const Tile& from = valid(tile);
    for (int r = 0; r < from.rows; ++r)
      std::memcpy(static_cast<char*>(to) + r * bytes, from.data[r], static_cast<std::size_t>(from.words * word_bytes));
  }
  template <class Numbers, int sums, int rows, int weights>
  static void dot() {
    static_assert(sums != rows && rows != weights && sums != weights);
    Tile& c = valid(sums);
    const Tile &a = valid(rows), &b = valid(weights);
    refuse(c.rows != a.rows || c.words != b.words || a.words != b.rows, "shapes of a product do not fit");
    for (int m = 0; m < c.rows; ++m)
      for (int n = 0; n < c.words; ++n) c.data[m][n] = add<Numbers>(c.data[m][n], a, m, b, n);
  }

 private:
  struct Tile {
    int rows = 0;
    int words = 0;
    std::uint32_t data[16][16] = {};
  };
  struct Tiles {
    bool configured = false;
    Tile tile[8];
  };
  static Tiles& tiles() {
    static thread_local Tiles all;
    return all;
  }
  static void refuse(bool bad, const std::string& why) {
    if (bad) throw std::logic_error(why);
  }
  static void shape(int tile, int rows, int row_bytes) {
    refuse(rows > 16 || row_bytes > 64, "a tile of more than 16 rows or 64 bytes");
    refuse((rows == 0) != (row_bytes == 0) || row_bytes % word_bytes != 0,
           "a tile that has no rows, or no whole words");
    tiles().tile[tile].rows = rows;
    tiles().tile[tile].words = row_bytes / word_bytes;
  }
  static Tile& valid(int tile) {
    refuse(!tiles().configured || tiles().tile[tile].rows == 0, "tile " + std::to_string(tile) + " is not configured");
    return tiles().tile[tile];
  }

  template <class Numbers>
  static std::uint32_t add(std::uint32_t sum, const Tile& a, int m, const Tile& b, int n) {
    if constexpr (std::is_same_v<Numbers, Bf16Words>) {
      float parts[2] = {0.0F, 0.0F};
      for (int k = 0; k < a.words; ++k)
        for (const int half : {0, 1})
          parts[half] =
              flushed(std::fma(half_of_word(a.data[m][k], half), half_of_word(b.data[k][n], half), parts[half]));
      return std::bit_cast<std::uint32_t>(flushed(flushed(std::bit_cast<float>(sum)) + flushed(parts[0] + parts[1])));
    } else {
      for (int k = 0; k < a.words; ++k)
        for (int byte = 0; byte < 4; ++byte)
          sum += static_cast<std::uint32_t>(static_cast<std::int32_t>(a.data[m][k] >> (8 * byte) & 0xFFU) *
                                            static_cast<std::int8_t>(b.data[k][n] >> (8 * byte)));
      return sum;
    }
  }
};

}  // namespace
}  // namespace shoal::lm::cpu
