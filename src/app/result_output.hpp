// What a run prints: one JSON object, or the answer and a small table.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include "shoal/language_model.hpp"
#include "shoal/potential.hpp"
#include "smc/run.hpp"

namespace shoal::app {

/// What surrounds a result in its output.
struct RunContext {
  int ranks = 1;
  int workers = 1;
  const smc::Options& options;
  std::string trace;       ///< path, empty if none was written
  std::string checkpoint;  ///< likewise
  std::span<const PotentialPtr> potentials;
};

void print_json(const smc::RunResult& result, const RunContext& context, std::ostream& out);
/// Table of batches, ESS, log Z-hat, moved particles, speed, time by phase, why it ended and where the trace lies.
void print_table(const smc::RunResult& result, const RunContext& context, std::ostream& out);
/// One line for an extinct run: the batch and the potential that killed it.
std::string extinct_line(const smc::RunResult& result);

}  // namespace shoal::app
