// A program that uses MPI itself: Shoal neither starts nor ends it.
#include <mpi.h>

#include <iostream>
#include <vector>

#include "cluster/mpi_transport.hpp"

int main(int argc, char** argv) {
  using namespace shoal;
  MPI_Init(&argc, &argv);
  {
    const auto world = cluster::World::shared();
    cluster::MpiTransport transport(*world, 0.0);
    std::vector<double> values{static_cast<double>(world->rank().value())};
    transport.allreduce_max(values);
    if (world->rank() == Rank{0} && transport.deadline_passed()) std::cout << "highest rank " << values[0] << '\n';
  }
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) return 1;
  MPI_Finalize();
  return 0;
}
