// The product of some rows with a panel of weights. Included only by kernels_body.hpp.
#pragma once

#include <utility>

#include "lm/cpu/kernels.hpp"
#include "lm/cpu/vectors_body.hpp"

namespace shoal::lm::cpu {
namespace {

/// Lanes of a register, and rows whose sums, with one input of each and some weights, fill the registers.
#if defined(__AVX512F__)
constexpr int register_lanes = 16;
constexpr int most_rows = 8;
#elif defined(__AVX2__)
constexpr int register_lanes = 8;
constexpr int most_rows = 3;
#else
constexpr int register_lanes = 4;
constexpr int most_rows = 1;
#endif
constexpr int panel_registers = panel_width / register_lanes;
constexpr int tile_inputs = 128;   // their weights stay in the first cache for one group of rows after the other
constexpr int stretch_inputs = 8;  // between two rounds of fetches ahead
constexpr int line_bytes = 64;
constexpr int fetched_ahead = 8192;  // bytes of the only group's weights

using Register = float __attribute__((vector_size(4 * register_lanes)));
using RegisterWords = std::uint32_t __attribute__((vector_size(4 * register_lanes)));

SHOAL_KERNEL Register load_register(const float* from) {
  Register x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

/// The @p v th register of a panel's row, by columns.
SHOAL_KERNEL Register load_weights(const float* row, int v) { return load_register(row + v * register_lanes); }
SHOAL_KERNEL Register load_weights(const Bf16* row, int v) {
  constexpr int half = panel_registers / 2;
  RegisterWords pairs;
  __builtin_memcpy(&pairs, row + v % half * 2 * register_lanes, sizeof pairs);
  return reinterpret_cast<Register>(v < half ? pairs << 16U : pairs & 0xFFFF0000U);
}

/// a * b + c, in one rounding where the processor has it: half the time. Only products use it, whose bits hang on the
/// processor anyway.
SHOAL_KERNEL Register multiply_add(Register a, Register b, Register c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

SHOAL_KERNEL void store_register(Register x, float* to) { __builtin_memcpy(to, &x, sizeof x); }

SHOAL_KERNEL void copy_outputs(const float* from, int outputs, float* to) {
  if (outputs == panel_width)
    __builtin_memcpy(to, from, sizeof(float) * panel_width);
  else
    for (int i = 0; i < outputs; ++i) to[i] = from[i];
}

/// A walk through the weights that come next, some lines at a time.
struct Ahead {
  const char* at;
  int lines;  ///< in each stretch

  SHOAL_METHOD void fetch() {
    for (int i = 0; i < lines; ++i, at += line_bytes) __builtin_prefetch(at);
  }
};

/// Inputs [first, first + count) of a panel.
template <class T>
struct Tile {
  const T* weights;  ///< [count, panel_width]
  int first;
  int count;  ///< a multiple of stretch_inputs
};

/// Sums lie in the results' places until the last tile has been added.
template <int rows, class T>
void multiply_rows(const PanelTask<T>& task, const Tile<T>& tile, int row, Ahead ahead) {
  const float* const x = task.x + static_cast<std::ptrdiff_t>(row) * task.inputs + tile.first;
  float* const y = task.y + row * task.stride;
  alignas(Register) float results[rows][panel_width];
  Register sums[rows][panel_registers];
  for (int r = 0; r < rows; ++r) {
    if (tile.first > 0) copy_outputs(y + r * task.stride, task.outputs, results[r]);
    for (int v = 0; v < panel_registers; ++v)
      sums[r][v] = tile.first > 0 ? load_register(results[r] + v * register_lanes) : Register{};
  }

  for (int stretch = 0; stretch < tile.count; stretch += stretch_inputs) {
    ahead.fetch();
#pragma GCC unroll 1
    for (int k = stretch; k < stretch + stretch_inputs; ++k) {
      Register inputs[rows];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) inputs[r] = x[static_cast<std::ptrdiff_t>(r) * task.inputs + k] - Register{};
#pragma GCC unroll 8
      for (int v = 0; v < panel_registers; ++v) {
        const Register weights = load_weights(tile.weights + k * panel_width, v);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) sums[r][v] = multiply_add(inputs[r], weights, sums[r][v]);
      }
    }
  }

  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < panel_registers; ++v) store_register(sums[r][v], results[r] + v * register_lanes);
    copy_outputs(results[r], task.outputs, y + r * task.stride);
  }
}

template <class T, int... less_one>
SHOAL_KERNEL void multiply_some(const PanelTask<T>& task, const Tile<T>& tile, int row, int rows, Ahead ahead,
                                std::integer_sequence<int, less_one...>) {
  using MultiplyRows = void (*)(const PanelTask<T>&, const Tile<T>&, int, Ahead);
  constexpr MultiplyRows by_rows[] = {multiply_rows<less_one + 1, T>...};
  by_rows[rows - 1](task, tile, row, ahead);
}

/// The rows in groups as equal as can be, which share the work of fetching as much as the tile has from @p next on.
template <class T>
SHOAL_KERNEL void multiply_tile(const PanelTask<T>& task, const Tile<T>& tile, int groups, const T* next) {
  const int stretches = tile.count / stretch_inputs;
  const int tile_lines = tile.count * panel_width * static_cast<int>(sizeof(T)) / line_bytes;
  const int lines = (tile_lines + groups * stretches - 1) / (groups * stretches);
  const char* at = reinterpret_cast<const char*>(next);
  for (int group = 0, row = 0; group < groups; ++group) {
    const int rows = task.rows / groups + (group < task.rows % groups ? 1 : 0);
    multiply_some(task, tile, row, rows, {at, lines}, std::make_integer_sequence<int, most_rows>());
    at += static_cast<std::ptrdiff_t>(lines) * stretches * line_bytes;
    row += rows;
  }
}

/// Every element is one sum in the order of the inputs, however many rows there are.
template <class T>
void multiply(const PanelTask<T>& task) {
  const int groups = (task.rows + most_rows - 1) / most_rows;
  if (groups == 1) return multiply_tile(task, {task.panel, 0, task.inputs}, 1, task.panel + fetched_ahead / sizeof(T));
  for (int first = 0; first < task.inputs; first += tile_inputs) {
    const int left = task.inputs - first;
    const Tile<T> tile{task.panel + static_cast<std::ptrdiff_t>(first) * panel_width, first,
                       left < tile_inputs ? left : tile_inputs};
    multiply_tile(task, tile, groups, tile.weights + tile.count * panel_width);
  }
}

}  // namespace
}  // namespace shoal::lm::cpu
