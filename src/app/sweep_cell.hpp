// A cell of a sweep: one run of `shoal generate`, checked before anything is run.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/generate_job.hpp"
#include "app/sweep_file.hpp"

namespace shoal::app {

/// How the answers of a cell are judged, beside its own potentials.
struct Judges {
  std::string scorer;            ///< model whose log-probability of the answers is taken; empty: none
  bool exact_posterior = false;  ///< total variation to the posterior found by enumeration
};

struct Cell {
  std::vector<NamedValue> labels;
  int ranks = 1;
  Judges judges;
  std::vector<std::string> arguments;  ///< of `shoal generate`
  GenerateJob job;
  std::string key;      ///< differs between cells whose results may differ
  std::string skipped;  ///< why it cannot run on this machine; empty: it can
};

/// Models that were opened to check the cells, by source and types, for as long as they are needed.
class ModelShelf {
 public:
  std::shared_ptr<const LanguageModel> get(const std::string& source, const std::string& dtype,
                                           const std::string& kv_dtype = "auto");

 private:
  std::map<std::array<std::string, 3>, std::shared_ptr<const LanguageModel>> models_;
};

/// All cells of @p grid, in its order. Files are read, models opened once each, so that a mistake shows before the
/// first run.
/// @throws UsageError, ModelError naming the cell
std::vector<Cell> make_cells(const SweepGrid& grid);

/// "particles=50 ranks=2": what tells the cell from the others.
std::string describe(const Cell& cell, const SweepGrid& grid);

/// The value of option @p name of `generate`, or of ranks, in the form of a job file.
std::string option_text(const Cell& cell, const std::string& name);

}  // namespace shoal::app
