// Potentials from a user's JSON job file: {"potentials": [{"type": "length", "min": 8, "max": 80, "unit": "words"},
// ...]}.
#pragma once

#include <string>
#include <vector>

#include "shoal/potential.hpp"

namespace shoal {

/// Types and their keys: regex (pattern), style (style: name or file), length (min = 0, max, unit: bytes, characters,
/// words or sentences), required (elements, penalty: number or "inf", the default), forbidden (strings), constraint
/// (parts: potentials). Each may have a name; a second one without is TYPE_2, and so on.
/// @throws UsageError naming the entry and the key
std::vector<PotentialPtr> potentials_from_json(const std::string& json_text);

}  // namespace shoal
