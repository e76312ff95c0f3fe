// Instructions as text: GCC's intrinsics take a tile's number as a literal only, and do not say what memory they touch.
#include <type_traits>

#include "lm/cpu/tile_product_body.hpp"

namespace shoal::lm::cpu {
namespace {

struct AmxTiles {
  static void configure(const TileConfiguration& configuration) { asm volatile("ldtilecfg %0" : : "m"(configuration)); }
  static void release() { asm volatile("tilerelease"); }

  template <int tile>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  template <int tile>
  static void load(const void* from, std::ptrdiff_t bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(bytes), "i"(tile) : "memory");
  }
  template <int tile>
  static void store(void* to, std::ptrdiff_t bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(bytes), "i"(tile) : "memory");
  }
  template <class Numbers, int sums, int rows, int weights>
  static void dot() {
    if constexpr (std::is_same_v<Numbers, Bf16Words>)
      asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(rows), "i"(weights));
    else
      asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(rows), "i"(weights));
  }
};

}  // namespace

void multiply_bf16_amx(const PanelProduct& task) { multiply_tiles<AmxTiles, Bf16Words>(task); }
void multiply_int8_amx(const PanelProduct& task, const Int8Scales& scales) { multiply_tiles<AmxTiles>(task, scales); }

}  // namespace shoal::lm::cpu
