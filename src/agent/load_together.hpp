// All ranks load one model at the same time; those of a node keep one copy of its weights.
#pragma once

#include <memory>
#include <string>

#include "cluster/world.hpp"
#include "shoal/language_model.hpp"

namespace shoal::agent {

/// Collective, with equal arguments. Holds all ranks to the lowest instruction set that one of them uses.
/// @throws AgreedError on all ranks if one of them cannot load it
std::shared_ptr<const LanguageModel> load_together(cluster::World* world, const std::string& source,
                                                   LoadOptions options);

}  // namespace shoal::agent
