// Ranks on GPUs, linked by NCCL: `mpirun -n 2 test_gpu_links`. Several ranks may share one GPU: each then takes a host
// name of its own for NCCL, which goes through sockets.
#include <mpi.h>

#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

#include "cluster/world.hpp"
#include "lm/cuda/gpus.hpp"
#include "lm/cuda/memory.hpp"
#include "lm/cuda/nccl_links.hpp"

namespace shoal {
namespace {

using namespace lm::cuda;

int check_links(cluster::World& world) {
  const int rank = world.rank().value(), size = world.size();
  const int gpus = static_cast<int>(lm::find_gpus().all.size());
  if (gpus < size) setenv("NCCL_HOSTID", ("rank" + std::to_string(rank)).c_str(), 1);
  const std::string id = world.broadcast(rank == 0 ? std::string_view(make_link_id().data(), 128) : "");
  lm::GpuLinkId link_id;
  std::copy(id.begin(), id.end(), link_id.begin());
  const auto links = join_links(link_id, rank, size, world.rank_on_node() % gpus, 120.0);

  const lm::Meanwhile nothing = [] {};
  std::vector<double> maxima{static_cast<double>(rank), -static_cast<double>(rank), -1e308};
  links->allreduce_max(maxima, nothing);
  Stream stream;
  const std::vector<std::byte> mine(1 << 20, static_cast<std::byte>(rank + 1));
  Array<std::byte> out(mine.size()), in(mine.size());
  copy_to_device(std::span(mine), out.data(), stream);
  stream.wait();
  const lm::GpuParcel send{(rank + 1) % size, out.data(), out.size()},
      receive{(rank + size - 1) % size, in.data(), in.size()};
  links->start_exchange({&send, 1}, {&receive, 1}, nothing);
  while (!links->exchange_done()) std::this_thread::yield();
  std::vector<std::byte> arrived(mine.size());
  copy_to_host(in.data(), std::span(arrived), stream);
  stream.wait();

  const bool ok = maxima == std::vector{size - 1.0, 0.0, -1e308} &&
                  arrived == std::vector<std::byte>(mine.size(), static_cast<std::byte>((rank + size - 1) % size + 1));
  constexpr std::size_t bytes = std::size_t{64} << 20U;
  const double seconds = links->time_exchange((rank + 1) % size, (rank + size - 1) % size, bytes, nothing);
  std::cout << "rank " << rank << ": " << (ok ? "ok" : "WRONG RESULTS") << ", "
            << static_cast<double>(bytes) / seconds * 1e-9 << " GB/s each way" << std::endl;
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace shoal

int main() {
  const auto world = shoal::cluster::World::shared();
  const auto& gpus = shoal::lm::find_gpus();
  if (!gpus.problem.empty()) {
    if (world->rank() == shoal::Rank{0}) std::cout << "skipped: no GPU (" << gpus.problem << ")\n";
    return 77;
  }
  try {
    return shoal::check_links(*world);
  } catch (const std::exception& error) {
    std::cerr << "rank " << world->rank().value() << ": " << error.what() << std::endl;
    world->abort(1);
  }
}
