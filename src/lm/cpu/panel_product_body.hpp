// One source of the products in panel_product.hpp. Included only by *_product.cpp, each compiled for the instructions
// that it names; calls nothing that another translation unit could share.
#pragma once

#include <immintrin.h>

#include "lm/cpu/panel_product.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int lanes = 16;
constexpr int vectors = panel_outputs / lanes;
constexpr int most_rows = 6;      // their sums, the weights of a word and one operand fill the registers
constexpr int tile_words = 512;   // two tiles fit the second cache
constexpr int stretch_words = 4;  // between two rounds of fetches ahead
constexpr int line_bytes = 64;
constexpr int lines_per_stretch = stretch_words * panel_outputs * static_cast<int>(sizeof(std::uint32_t)) / line_bytes;

/// Some words of a panel.
struct Tile {
  const std::uint32_t* weights;
  int first;
  int words;
};

/// A walk through the tile that comes next, some lines at a time.
struct Ahead {
  const char* at;
  int lines;  ///< in each stretch

  void fetch() {
    for (int i = 0; i < lines; ++i, at += line_bytes) _mm_prefetch(at, _MM_HINT_T1);
  }
};

inline __mmask16 wanted(const PanelProduct& task, int vector) {
  const int outputs = task.outputs - vector * lanes;
  return static_cast<__mmask16>(outputs >= lanes ? 0xFFFF : outputs <= 0 ? 0 : (1 << outputs) - 1);
}

/// Sums lie in the results' places until the last tile has been added.
/// @tparam Sums how words are multiplied and added, and what becomes of their sums
template <int rows, class Sums>
void multiply_rows(const PanelProduct& task, const Sums& op, const Tile& tile, int row, Ahead ahead) {
  const std::uint32_t* const x = task.x + static_cast<std::ptrdiff_t>(row) * task.words + tile.first;
  float* const y = task.y + row * task.stride;
  __m512i sums[rows][vectors];
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      sums[r][v] = tile.first == 0 ? _mm512_setzero_si512()
                                   : _mm512_maskz_loadu_epi32(wanted(task, v), y + r * task.stride + v * lanes);

  for (int stretch = 0; stretch < tile.words; stretch += stretch_words) {
    ahead.fetch();
#pragma GCC unroll 1
    for (int k = stretch; k < stretch + stretch_words; ++k) {
      const std::uint32_t* from = tile.weights + k * panel_outputs;
      __m512i weights[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) weights[v] = _mm512_load_si512(from + v * lanes);
#pragma GCC unroll 6
      for (int r = 0; r < rows; ++r) {
        int word;
        __builtin_memcpy(&word, x + static_cast<std::ptrdiff_t>(r) * task.words + k, sizeof word);
        const __m512i inputs = _mm512_set1_epi32(word);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[r][v] = Sums::add(sums[r][v], inputs, weights[v]);
      }
    }
  }

  const bool last = tile.first + tile.words == task.words;
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      _mm512_mask_storeu_epi32(y + r * task.stride + v * lanes, wanted(task, v),
                               last ? op.result(sums[r][v], wanted(task, v), row + r, v * lanes) : sums[r][v]);
}

/// Rows in groups as equal as can be, which share the work of fetching.
template <class Sums>
void multiply_tile(const PanelProduct& task, const Sums& op, const Tile& tile) {
  using MultiplyRows = void (*)(const PanelProduct&, const Sums&, const Tile&, int, Ahead);
  constexpr MultiplyRows by_rows[most_rows + 1] = {
      nullptr,
      multiply_rows<1, Sums>,
      multiply_rows<2, Sums>,
      multiply_rows<3, Sums>,
      multiply_rows<4, Sums>,
      multiply_rows<5, Sums>,
      multiply_rows<6, Sums>,
  };
  const int groups = (task.rows + most_rows - 1) / most_rows;
  const int lines = groups == 1 ? 0 : (lines_per_stretch + groups - 1) / groups;  // one group waits for memory anyway
  const char* next = reinterpret_cast<const char*>(tile.weights + tile.words * panel_outputs);
  const std::ptrdiff_t of_group = static_cast<std::ptrdiff_t>(lines) * line_bytes * (tile.words / stretch_words);
  int row = 0;
  for (int group = 0; group < groups; ++group) {
    const int rows = task.rows / groups + (group < task.rows % groups ? 1 : 0);
    by_rows[rows](task, op, tile, row, {next + group * of_group, lines});
    row += rows;
  }
}

template <class Sums>
void multiply(const PanelProduct& task, const Sums& op) {
  for (int first = 0; first < task.words; first += tile_words) {
    const int left = task.words - first;
    multiply_tile(task, op,
                  {task.panel + static_cast<std::ptrdiff_t>(first) * panel_outputs, first,
                   left < tile_words ? left : tile_words});
  }
}

}  // namespace
}  // namespace shoal::lm::cpu
