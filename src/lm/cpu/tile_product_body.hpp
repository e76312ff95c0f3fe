// One source of the products by tiles in panel_product.hpp. Included by amx_product.cpp, and by the test that computes
// the instructions in plain C++; calls nothing that another translation unit could share.
//
// Tiles, a template parameter, stands for the instructions. All are static; a tile's number is a template argument:
//   configure(configuration)               gives the tiles their shapes and zeroes them
//   zero<tile>(), load<tile>(from, bytes), store<tile>(to, bytes)    bytes between rows in memory
//   dot<Numbers, sums, rows, weights>()    sums += rows * weights, by the words' Numbers: Bf16Words or Int8Words
//   release()                              leaves the tiles as if never used
#pragma once

#include "lm/cpu/panel_product.hpp"

namespace shoal::lm::cpu {
namespace {

constexpr int tile_size = 16;  // rows of a tile, and words of a row, at most
constexpr int word_bytes = static_cast<int>(sizeof(std::uint32_t));
constexpr int most_rows = 2 * tile_size;  // two tiles by two of outputs: four loads for four products
constexpr int block_words = 256;  // of two tiles' outputs, 32 KB: in the first cache for one group after the other

struct Bf16Words {};
struct Int8Words {};

/// Numbers of the tiles. Sums of the r-th tile of rows and the o-th of outputs are in tile 2 r + o.
constexpr int rows_tile = 4;
constexpr int weights_tile = 6;

/// Sums: rows by outputs; rows: rows by words; weights: words by outputs. 0 where a tile is not used.
struct TileShapes {
  int rows[2];
  int outputs[2];
  int words;

  friend bool operator==(const TileShapes&, const TileShapes&) = default;
};

/// As the processor reads it.
struct TileConfiguration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};  ///< by tile
  std::uint8_t rows[16] = {};

  void shape(int tile, int tile_rows, int words) {
    if (tile_rows == 0 || words == 0) return;
    rows[tile] = static_cast<std::uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<std::uint16_t>(words * word_bytes);
  }
};
static_assert(sizeof(TileConfiguration) == 64);

inline TileConfiguration configuration_of(const TileShapes& shapes) {
  TileConfiguration configuration;
  for (int r = 0; r < 2; ++r) {
    for (int o = 0; o < 2; ++o) configuration.shape(2 * r + o, shapes.rows[r], shapes.outputs[o]);
    configuration.shape(rows_tile + r, shapes.rows[r], shapes.words);
  }
  for (int o = 0; o < 2; ++o) configuration.shape(weights_tile + o, shapes.words, shapes.outputs[o]);
  return configuration;
}

/// Some words of a panel.
struct Block {
  int first;
  int words;
  int step;  ///< words of a tile, of which words is a multiple
};

/// A part of the results.
struct Group {
  int row;
  int output;
  TileShapes shapes;
};

/// A walk through the words that come next, some at a time.
struct Ahead {
  const std::uint32_t* at;
  int words;  ///< in each step
  int tiles;  ///< of outputs, a cache line each

  void fetch() {
    for (int word = 0; word < words; ++word, at += panel_outputs)
      for (int tile = 0; tile < tiles; ++tile) __builtin_prefetch(at + tile * tile_size, 0, 2);
  }
};

/// Sums lie in the results' places until the last block has been added.
template <class Tiles, class Numbers, int row_tiles, int output_tiles>
void multiply_group(const PanelProduct& task, Block block, const Group& group, Ahead* next) {
  constexpr std::ptrdiff_t weights_bytes = std::ptrdiff_t{panel_outputs} * word_bytes;
  const std::ptrdiff_t x_bytes = std::ptrdiff_t{task.words} * word_bytes, y_bytes = task.stride * word_bytes;
  const std::ptrdiff_t row = group.row, second_row = row + group.shapes.rows[0];
  const std::uint32_t* const x[2] = {task.x + row * task.words + block.first,
                                     task.x + second_row * task.words + block.first};
  float* const y[2] = {task.y + row * task.stride + group.output, task.y + second_row * task.stride + group.output};
  const std::uint32_t* weights = task.panel + std::ptrdiff_t{block.first} * panel_outputs + group.output;
  Ahead ahead = *next;

  const auto load_or_zero = [&]<int r, int o>() {
    if (block.first == 0)
      Tiles::template zero<2 * r + o>();
    else
      Tiles::template load<2 * r + o>(y[r] + o * tile_size, y_bytes);
  };
  load_or_zero.template operator()<0, 0>();
  if constexpr (output_tiles == 2) load_or_zero.template operator()<0, 1>();
  if constexpr (row_tiles == 2) load_or_zero.template operator()<1, 0>();
  if constexpr (row_tiles == 2 && output_tiles == 2) load_or_zero.template operator()<1, 1>();

  for (int k = 0; k < block.words; k += block.step, weights += std::ptrdiff_t{block.step} * panel_outputs) {
    ahead.fetch();
    Tiles::template load<weights_tile>(weights, weights_bytes);
    Tiles::template load<rows_tile>(x[0] + k, x_bytes);
    Tiles::template dot<Numbers, 0, rows_tile, weights_tile>();
    if constexpr (output_tiles == 2) {
      Tiles::template load<weights_tile + 1>(weights + tile_size, weights_bytes);
      Tiles::template dot<Numbers, 1, rows_tile, weights_tile + 1>();
    }
    if constexpr (row_tiles == 2) {
      Tiles::template load<rows_tile + 1>(x[1] + k, x_bytes);
      Tiles::template dot<Numbers, 2, rows_tile + 1, weights_tile>();
    }
    if constexpr (row_tiles == 2 && output_tiles == 2)
      Tiles::template dot<Numbers, 3, rows_tile + 1, weights_tile + 1>();
  }

  Tiles::template store<0>(y[0], y_bytes);
  if constexpr (output_tiles == 2) Tiles::template store<1>(y[0] + tile_size, y_bytes);
  if constexpr (row_tiles == 2) Tiles::template store<2>(y[1], y_bytes);
  if constexpr (row_tiles == 2 && output_tiles == 2) Tiles::template store<3>(y[1] + tile_size, y_bytes);
  *next = ahead;
}

template <class Tiles, class Numbers>
void multiply_group(const PanelProduct& task, Block block, const Group& group, Ahead* next) {
  using MultiplyGroup = void (*)(const PanelProduct&, Block, const Group&, Ahead*);
  constexpr MultiplyGroup by_tiles[2][2] = {
      {multiply_group<Tiles, Numbers, 1, 1>, multiply_group<Tiles, Numbers, 1, 2>},
      {multiply_group<Tiles, Numbers, 2, 1>, multiply_group<Tiles, Numbers, 2, 2>}};
  const TileShapes& shapes = group.shapes;
  by_tiles[shapes.rows[1] > 0 ? 1 : 0][shapes.outputs[1] > 0 ? 1 : 0](task, block, group, next);
}

constexpr int at_most(int a, int b) { return a < b ? a : b; }

/// Two tiles of @p rows, as equal as can be, or one.
inline void share_rows(int rows, TileShapes* shapes) {
  shapes->rows[0] = rows > tile_size ? (rows + 1) / 2 : rows;
  shapes->rows[1] = rows - shapes->rows[0];
}

/// Rows in groups as equal as can be, which share the work of fetching the words that follow.
template <class Tiles, class Numbers>
void multiply_block(const PanelProduct& task, const Block& block, TileShapes* configured) {
  const int groups = (task.rows + most_rows - 1) / most_rows;
  const int tiles = (task.outputs + tile_size - 1) / tile_size;
  const int steps = block.words / block.step * groups * ((tiles + 1) / 2);
  Ahead ahead{task.panel + static_cast<std::ptrdiff_t>(block.first + block.words) * panel_outputs,
              (block.words + steps - 1) / steps, tiles};
  for (int output = 0; output < task.outputs; output += 2 * tile_size) {
    const int left = task.outputs - output;
    Group group{
        0,
        output,
        {{}, {at_most(left, tile_size), at_most(left > tile_size ? left - tile_size : 0, tile_size)}, block.step}};
    for (int i = 0; i < groups; ++i) {
      const int rows = task.rows / groups + (i < task.rows % groups ? 1 : 0);
      share_rows(rows, &group.shapes);
      if (group.shapes != *configured) Tiles::configure(configuration_of(*configured = group.shapes));
      multiply_group<Tiles, Numbers>(task, block, group, &ahead);
      group.row += rows;
    }
  }
}

/// Words by tiles of 16, and the last ones, if there are fewer, by a narrower tile. Which words are added at once, and
/// so a row's bits, hangs on the number of words alone.
template <class Tiles, class Numbers>
void multiply_tiles(const PanelProduct& task) {
  TileShapes configured{};
  const int whole = task.words / tile_size * tile_size;
  for (int first = 0; first < whole; first += block_words)
    multiply_block<Tiles, Numbers>(task, {first, at_most(block_words, whole - first), tile_size}, &configured);
  if (whole < task.words)
    multiply_block<Tiles, Numbers>(task, {whole, task.words - whole, task.words - whole}, &configured);
  Tiles::release();
}

template <class Tiles>
void multiply_tiles(const PanelProduct& task, const Int8Scales& scales) {
  multiply_tiles<Tiles, Int8Words>(task);
  for (int r = 0; r < task.rows; ++r) {
    float* const y = task.y + r * task.stride;
    for (int o = 0; o < task.outputs; ++o) {
      std::int32_t sum;
      __builtin_memcpy(&sum, y + o, sizeof sum);
      y[o] = static_cast<float>(sum - scales.offsets[o]) * (scales.of_outputs[o] * scales.of_rows[r]);
    }
  }
}

}  // namespace
}  // namespace shoal::lm::cpu
