#include "cluster/node_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include "cluster/links.hpp"
#include "cluster/world.hpp"
#include "lm/available_memory.hpp"

namespace shoal::cluster {
namespace {

/// How other processes of the node find a file that one has open.
struct Address {
  pid_t process = 0;
  int descriptor = -1;
  dev_t device = 0;
  ino_t inode = 0;
};

/// -1 if the system refuses.
int make_file() {
  // Its size is far beyond any model's: pages that nobody touches take no memory.
  constexpr off_t size = off_t{1} << 46U;
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return -1;
  const int file = memfd_create("shoal-weights", MFD_CLOEXEC);
  if (file >= 0 && ftruncate(file, size) == 0) return file;
  if (file >= 0) close(file);
  return -1;
}

Address address_of(int file) {
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) return {};
  return {getpid(), file, status.st_dev, status.st_ino};
}

/// -1 if it cannot be opened, or is another: containers may number processes in their own ways.
int open_file(const Address& address) {
  const std::string path = "/proc/" + std::to_string(address.process) + "/fd/" + std::to_string(address.descriptor);
  const int file = address.descriptor < 0 ? -1 : open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || (fstat(file, &status) == 0 && status.st_dev == address.device && status.st_ino == address.inode))
    return file;
  close(file);
  return -1;
}

}  // namespace

NodeFile::NodeFile(World* world) {
  const Communicator& node = world->links().node;
  share_ = {.process = node.rank(), .processes = node.size(), .file = -1, .free_memory = lm::available_memory()};
  if (node.size() == 1) return;
  const bool maker = node.rank() == 0;
  int file = maker ? make_file() : -1;
  Address address = address_of(file);
  check(MPI_Bcast(&address, sizeof address, MPI_BYTE, 0, node.get()), "MPI_Bcast");
  if (!maker) file = open_file(address);
  std::array<std::uint64_t, 2> least{file >= 0 ? 1U : 0U, share_.free_memory};
  check(MPI_Allreduce(MPI_IN_PLACE, least.data(), 2, MPI_UINT64_T, MPI_MIN, node.get()), "MPI_Allreduce");
  share_.free_memory = least[1];
  if (least[0] != 0)
    share_.file = file;
  else if (file >= 0)
    close(file);
}

NodeFile::~NodeFile() {
  if (share_.file >= 0) close(share_.file);
}

}  // namespace shoal::cluster
