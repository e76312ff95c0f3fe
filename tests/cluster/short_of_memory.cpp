// Rank 0 has no memory for what the others send it.
#include <sys/resource.h>

#include <fstream>
#include <iostream>
#include <string>

#include "cluster/links.hpp"
#include "cluster/mpi_transport.hpp"

namespace {

constexpr std::size_t message_bytes = std::size_t{128} << 20U;

/// Leaves this process half of a message.
void limit_memory() {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages;
  const rlim_t most = pages * 4096 + message_bytes / 2;
  const rlimit limit{most, most};
  if (setrlimit(RLIMIT_AS, &limit) != 0) std::cerr << "no limit\n";
}

}  // namespace

int main() {
  using namespace shoal;
  const auto world = cluster::World::shared();
  world->links().patience_s = 1e6;  // that the others are told, not ended
  cluster::MpiTransport transport(*world, std::nullopt);
  try {
    world->together([&] {
      if (world->rank() == Rank{0}) limit_memory();
      (void)transport.gather(std::string(world->rank() == Rank{0} ? 0 : message_bytes, 'x'));
    });
  } catch (const cluster::AgreedError& e) {
    if (world->rank() == Rank{0}) std::cerr << "shoal: error: " << e.what() << '\n';
    return static_cast<int>(e.code());
  }
}
