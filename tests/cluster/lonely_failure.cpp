// The last rank fails while the others wait for it inside the action, where they cannot be told.
#include <iostream>
#include <vector>

#include "cluster/links.hpp"
#include "cluster/mpi_transport.hpp"

int main() {
  using namespace shoal;
  const auto world = cluster::World::shared();
  world->links().patience_s = 0.5;
  cluster::MpiTransport transport(*world, std::nullopt);
  try {
    world->together([&] {
      if (world->rank().value() == world->size() - 1) throw IoError("disk full (no space left) free some");
      std::vector<double> values{0.0};
      transport.allreduce_max(values);
    });
  } catch (const cluster::AgreedError& e) {
    if (world->rank() == Rank{0}) std::cerr << "shoal: error: " << e.what() << '\n';
    return static_cast<int>(e.code());
  }
}
