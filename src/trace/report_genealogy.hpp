// The report's picture of who descends from whom. Internal to src/trace.
#pragma once

#include <string>
#include <vector>

#include "trace/trace_reader.hpp"

namespace shoal::trace {

/// A <figure> with the picture, and the JSON that its details are shown from.
struct GenealogyParts {
  std::string html;
  std::string json;  ///< an object
};

/// All particles of all batches if they fit; else some particles of the heaviest lineages, at some of the batches.
/// @param survivors what surviving_lineages says
/// @param best the answer, whose lineage stands out
GenealogyParts genealogy_parts(const Trace& trace, const std::vector<std::size_t>& survivors, const std::string& best);

}  // namespace shoal::trace
