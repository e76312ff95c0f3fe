// A hard potential whose memory is one automaton state: 1 while the state is alive (prefix) or accepting (complete).
#pragma once

#include <string>

#include "potential/dfa.hpp"
#include "shoal/potential.hpp"

namespace shoal {

/// @param dfa not empty: dfa.start != Dfa::dead
PotentialPtr dfa_potential(Dfa dfa, std::string name);

}  // namespace shoal
