// The results of a sweep as a Markdown table and as an HDF5 file.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "app/cell_result.hpp"
#include "app/sweep_file.hpp"

namespace shoal::app {

struct SweepResults {
  const SweepGrid* grid;
  std::span<const Cell> cells;
  std::span<const CellResult> results;  ///< one per cell; empty ones for those that were skipped
  std::string command;                  ///< that made the sweep
  std::string job_file;                 ///< its content
  std::string folder;                   ///< where the words of failed cells are
};

/// Quartiles of the numbers in @p values, NaN left out; linear between order statistics (as NumPy's default).
struct Quartiles {
  std::size_t count = 0;
  double low = 0.0;
  double median = 0.0;
  double high = 0.0;
};
Quartiles quartiles(std::vector<double> values);

/// A table with a row for all cells that differ in nothing but the seed, and below it what failed or was skipped.
std::string markdown(const SweepResults& sweep);

/// The HDF5 file's format.
inline constexpr const char* table_format = "shoal-sweep";

/// Group `cell`: one entry per cell, options and figures as columns, with units and dimension scales.
/// @throws IoError
void write_hdf5(const SweepResults& sweep, const std::string& path);

}  // namespace shoal::app
