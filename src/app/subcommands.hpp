// The program's subcommands. Each runs on every rank, with equal arguments, and returns the exit code.
#pragma once

#include <string>
#include <vector>

#include "cluster/world.hpp"

namespace shoal::app {

using Arguments = std::vector<std::string>;

int generate_command(cluster::World& world, const Arguments& arguments);
int agent_command(cluster::World& world, const Arguments& arguments);
int score_command(cluster::World& world, const Arguments& arguments);
int tokenize_command(cluster::World& world, const Arguments& arguments);
int report_command(cluster::World& world, const Arguments& arguments);
int info_command(cluster::World& world, const Arguments& arguments);

/// Starts MPI jobs, so it must not belong to one.
int sweep_command(const Arguments& arguments);

}  // namespace shoal::app
