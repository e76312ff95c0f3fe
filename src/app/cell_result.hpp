// What a cell of a sweep came to: its figures, or why it failed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/sweep_cell.hpp"

namespace shoal::app {

struct Figure {
  const char* name;
  const char* heading;  ///< in the Markdown table; null: only in the HDF5 file
  const char* units;
  const char* meaning;
};

/// In the order of the tables.
const std::vector<Figure>& figures();

struct CellResult {
  std::string finish_reason;    ///< as `generate --json` says; empty if the run failed
  std::string response;         ///< the most probable answer
  std::vector<double> figures;  ///< as figures() lists them; NaN where there is none
  int workers = 0;              ///< CPU threads per rank that the run had
  int exit_code = 0;
  std::string error;    ///< one line; empty unless the run failed
  std::string command;  ///< to run the cell by hand

  [[nodiscard]] bool failed() const { return finish_reason.empty(); }
};

/// Reads what `generate --json` printed and judges its answers.
/// @throws std::exception if @p json is not what it prints
CellResult judge(const Cell& cell, const std::string& json, ModelShelf* shelf);

/// As the file of a finished cell; @p options in the form of describe().
std::string to_json(const CellResult& result, const std::string& options);
/// Nothing if @p json is not what to_json writes.
std::optional<CellResult> cell_result_from_json(const std::string& json);

}  // namespace shoal::app
