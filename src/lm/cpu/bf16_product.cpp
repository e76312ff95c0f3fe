// Compiled for AVX-512 BF16: calls nothing that another translation unit could share.
#include "lm/cpu/bf16_product.hpp"

#include <immintrin.h>

namespace shoal::lm::cpu {
namespace {

constexpr int lanes = 16;
constexpr int vectors = panel_outputs / lanes;
constexpr int most_rows = 6;        // their sums, the weights of a pair and one operand fill the registers
constexpr int tile_inputs = 1024;   // two tiles fit the second cache
constexpr int stretch_inputs = 16;  // between two rounds of fetches ahead
constexpr int line_bytes = 64;
constexpr int lines_per_stretch = stretch_inputs * panel_outputs * 2 / line_bytes;

/// Some inputs of a panel.
struct Tile {
  const Bf16* weights;
  int inputs;
  bool first;  ///< of its panel
};

/// A walk through the tile that comes next, some lines at a time.
struct Ahead {
  const char* at;
  int lines;  ///< in each stretch

  void fetch() {
    for (int i = 0; i < lines; ++i, at += line_bytes) _mm_prefetch(at, _MM_HINT_T1);
  }
};

__m512bh two_inputs(const Bf16* x) {
  int pair;
  __builtin_memcpy(&pair, x, sizeof pair);
  return (__m512bh)_mm512_set1_epi32(pair);
}

/// @param x at the tile's first input
template <int rows>
void multiply_rows(const Bf16Task& task, const Tile& tile, const Bf16* x, float* y, Ahead ahead) {
  __mmask16 wanted[vectors];
  for (int v = 0; v < vectors; ++v) {
    const int outputs = task.outputs - v * lanes;
    wanted[v] = static_cast<__mmask16>(outputs >= lanes ? 0xFFFF : outputs <= 0 ? 0 : (1 << outputs) - 1);
  }
  __m512 sums[rows][vectors];
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      sums[r][v] = tile.first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(wanted[v], y + r * task.stride + v * lanes);

  for (int stretch = 0; stretch < tile.inputs; stretch += stretch_inputs) {
    ahead.fetch();
#pragma GCC unroll 1
    for (int k = stretch; k < stretch + stretch_inputs; k += 2) {
      const Bf16* from = tile.weights + k * panel_outputs;
      __m512bh weights[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) weights[v] = (__m512bh)_mm512_load_si512(from + v * 2 * lanes);
#pragma GCC unroll 6
      for (int r = 0; r < rows; ++r) {
        const __m512bh inputs = two_inputs(x + static_cast<std::ptrdiff_t>(r) * task.inputs + k);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], inputs, weights[v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) _mm512_mask_storeu_ps(y + r * task.stride + v * lanes, wanted[v], sums[r][v]);
}

using MultiplyRows = void (*)(const Bf16Task&, const Tile&, const Bf16*, float*, Ahead);
constexpr MultiplyRows by_rows[most_rows + 1] = {nullptr,          multiply_rows<1>, multiply_rows<2>, multiply_rows<3>,
                                                 multiply_rows<4>, multiply_rows<5>, multiply_rows<6>};

/// Rows in groups as equal as can be, which share the work of fetching.
void multiply_tile(const Bf16Task& task, const Tile& tile, const Bf16* x) {
  const int groups = (task.rows + most_rows - 1) / most_rows;
  const int lines = groups == 1 ? 0 : (lines_per_stretch + groups - 1) / groups;  // one group waits for memory anyway
  const char* next = reinterpret_cast<const char*>(tile.weights + tile.inputs * panel_outputs);
  const std::ptrdiff_t of_group = static_cast<std::ptrdiff_t>(lines) * line_bytes * (tile.inputs / stretch_inputs);
  int row = 0;
  for (int group = 0; group < groups; ++group) {
    const int rows = task.rows / groups + (group < task.rows % groups ? 1 : 0);
    by_rows[rows](task, tile, x + static_cast<std::ptrdiff_t>(row) * task.inputs, task.y + row * task.stride,
                  {next + group * of_group, lines});
    row += rows;
  }
}

}  // namespace

void multiply_bf16(const Bf16Task& task) {
  for (int first = 0; first < task.inputs; first += tile_inputs) {
    const int left = task.inputs - first;
    const Tile tile{task.panel + static_cast<std::ptrdiff_t>(first) * panel_outputs,
                    left < tile_inputs ? left : tile_inputs, first == 0};
    multiply_tile(task, tile, task.x + first);
  }
}

}  // namespace shoal::lm::cpu
