// Ranks on GPUs, linked by NCCL: `mpirun -n 2 test_gpu_links`. Several ranks may share one GPU: each then takes a host
// name of its own for NCCL, which goes through sockets.
#include <mpi.h>

#include <cstdlib>
#include <iostream>
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

  std::vector<std::uint64_t> sums{1ULL << 60U, static_cast<std::uint64_t>(rank)};
  links->allreduce_sum(sums);
  std::vector<double> maxima{static_cast<double>(rank)};
  links->allreduce_max(maxima);
  Stream stream;
  const std::vector<std::byte> mine(1 << 20, static_cast<std::byte>(rank + 1));
  Array<std::byte> out(mine.size()), in(mine.size());
  copy_to_device(std::span(mine), out.data(), stream);
  stream.wait();
  const lm::GpuParcel send{(rank + 1) % size, out.data(), out.size()},
      receive{(rank + size - 1) % size, in.data(), in.size()};
  links->start_exchange({&send, 1}, {&receive, 1});
  links->finish_exchange();
  std::vector<std::byte> arrived(mine.size());
  copy_to_host(in.data(), std::span(arrived), stream);
  stream.wait();

  const auto p = static_cast<std::uint64_t>(size);
  const bool ok = sums[0] == p << 60U && sums[1] == p * (p - 1) / 2 && maxima[0] == size - 1.0 &&
                  arrived == std::vector<std::byte>(mine.size(), static_cast<std::byte>((rank + size - 1) % size + 1));
  std::cout << "rank " << rank << ": " << (ok ? "ok" : "WRONG RESULTS") << std::endl;
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
