// One source of the products in 8 bits for processors without AVX-512 VNNI, over the same panels and with the same
// bits: sums are integers. Included only by int8_product_avx2*.cpp, each compiled for the instructions that it names;
// calls nothing that another translation unit could share.
#pragma once

#include <immintrin.h>

#include "lm/cpu/panel_product.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int lanes = 8;
constexpr int vectors = 2;      // whose sums, of some rows, fill the registers
constexpr int tile_words = 64;  // 16 KiB of weights, which stay in the first cache
constexpr int stretch_words = 4;
constexpr int line_bytes = 64;

/// Outputs [first_output, first_output + 16) and words [first, first + words) of a panel.
struct Tile {
  int first_output;
  int first;
  int words;  ///< a multiple of stretch_words
};

/// A walk through the tile that comes next, some lines at a time.
struct Ahead {
  const char* at;
  int lines;  ///< in each stretch

  void fetch() {
    for (int i = 0; i < lines; ++i, at += line_bytes) _mm_prefetch(at, _MM_HINT_T0);
  }
};

/// All ones in the first @p count lanes.
inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/// The first @p count numbers, then zeros. (Masked access is slow: only where it must be.)
inline __m256i load_first(int count, const void* from) {
  if (count >= lanes) return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  return _mm256_maskload_epi32(static_cast<const int*>(from), first_lanes(count));
}
inline void store_first(int count, __m256i x, void* to) {
  if (count >= lanes) return _mm256_storeu_si256(static_cast<__m256i*>(to), x);
  _mm256_maskstore_epi32(static_cast<int*>(to), first_lanes(count), x);
}

inline __m256i result(__m256i sum, int count, const Int8Scales& scales, int row, int output) {
  const __m256i offset = load_first(count, scales.offsets + output);
  const __m256 scale = _mm256_castsi256_ps(load_first(count, scales.of_outputs + output));
  return _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(sum, offset)),
                                           _mm256_mul_ps(scale, _mm256_set1_ps(scales.of_rows[row]))));
}

/// Sums lie in the results' places until the last tile has been added.
/// @tparam Sums how words are multiplied and added
template <int rows, class Sums>
void multiply_rows(const PanelProduct& task, const Int8Scales& scales, const Tile& tile, int row, Ahead ahead) {
  const std::uint32_t* const x = task.x + static_cast<std::ptrdiff_t>(row) * task.words + tile.first;
  const std::uint32_t* const weights =
      task.panel + static_cast<std::ptrdiff_t>(tile.first) * panel_outputs + tile.first_output;
  float* const y = task.y + row * task.stride + tile.first_output;
  const int outputs = task.outputs - tile.first_output;
  __m256i sums[rows][vectors];
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v)
      sums[r][v] =
          tile.first == 0 ? _mm256_setzero_si256() : load_first(outputs - v * lanes, y + r * task.stride + v * lanes);

  for (int stretch = 0; stretch < tile.words; stretch += stretch_words) {
    ahead.fetch();
#pragma GCC unroll 1
    for (int k = stretch; k < stretch + stretch_words; ++k) {
      typename Sums::Word of_weights[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v)
        of_weights[v] = Sums::weights(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + k * panel_outputs + v * lanes)));
#pragma GCC unroll 6
      for (int r = 0; r < rows; ++r) {
        int word;
        __builtin_memcpy(&word, x + static_cast<std::ptrdiff_t>(r) * task.words + k, sizeof word);
        const auto inputs = Sums::inputs(_mm256_set1_epi32(word));
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) sums[r][v] = Sums::add(sums[r][v], inputs, of_weights[v]);
      }
    }
  }

  const bool last = tile.first + tile.words == task.words;
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const int count = outputs - v * lanes;
      if (last) sums[r][v] = result(sums[r][v], count, scales, row + r, tile.first_output + v * lanes);
      store_first(count, sums[r][v], y + r * task.stride + v * lanes);
    }
}

template <int rows, class Sums>
void multiply_some(const PanelProduct& task, const Int8Scales& scales, const Tile& tile, int row, int count,
                   Ahead ahead) {
  if (count == rows) return multiply_rows<rows, Sums>(task, scales, tile, row, ahead);
  if constexpr (rows > 1) multiply_some<rows - 1, Sums>(task, scales, tile, row, count, ahead);
}

/// Rows in groups as equal as can be, by 16 outputs; together they fetch the next tile.
template <class Sums>
void multiply_tile(const PanelProduct& task, const Int8Scales& scales, int first, int words) {
  constexpr int at_once = vectors * lanes;
  const int groups = (task.rows + Sums::most_rows - 1) / Sums::most_rows;
  const int parts = groups * ((task.outputs + at_once - 1) / at_once), stretches = words / stretch_words;
  constexpr int lines_per_word = panel_outputs * static_cast<int>(sizeof(std::uint32_t)) / line_bytes;
  const int lines = (words * lines_per_word + parts * stretches - 1) / (parts * stretches);
  const char* next =
      reinterpret_cast<const char*>(task.panel + static_cast<std::ptrdiff_t>(first + words) * panel_outputs);
  for (int output = 0; output < task.outputs; output += at_once)
    for (int group = 0, row = 0; group < groups; ++group) {
      const int rows = task.rows / groups + (group < task.rows % groups ? 1 : 0);
      multiply_some<Sums::most_rows, Sums>(task, scales, {output, first, words}, row, rows, {next, lines});
      next += static_cast<std::ptrdiff_t>(lines) * stretches * line_bytes;
      row += rows;
    }
}

template <class Sums>
void multiply(const PanelProduct& task, const Int8Scales& scales) {
  for (int first = 0; first < task.words; first += tile_words) {
    const int left = task.words - first;
    multiply_tile<Sums>(task, scales, first, left < tile_words ? left : tile_words);
  }
}

}  // namespace
}  // namespace shoal::lm::cpu
