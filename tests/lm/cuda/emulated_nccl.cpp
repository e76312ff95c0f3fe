// The functions of NCCL that the plugin calls, over MPI: the ranks' emulated GPUs (emulated_cuda.cpp), whose memory is
// the host's, linked as real ones are. What is started goes on in ncclCommGetAsyncError, as on a real side stream.
//   SHOAL_FAKE_NCCL_REFUSES=R        rank R's communicator does not come up
//   SHOAL_FAKE_NCCL_BREAKS=R:N       rank R's communicator reports an error from its N-th operation on
//   SHOAL_FAKE_NCCL_LATE=N           an exchange is under way for N looks at least
#include <mpi.h>
#include <nccl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

struct ncclComm {
  MPI_Comm mpi = MPI_COMM_NULL;
  int rank = 0;
  int operations = 0;
  double* values = nullptr;  // to be reduced when the exchange before has ended, as on one stream
  int count = 0;
  MPI_Request reduction = MPI_REQUEST_NULL;
  std::vector<MPI_Request> exchange;
  int looks = 0;
};

namespace {

std::vector<ncclComm*> comms;
ncclComm* group_comm = nullptr;  // of the group that is being collected

int number(const char* variable, int otherwise) {
  const char* value = std::getenv(variable);
  return value == nullptr ? otherwise : std::atoi(value);
}

/// Whether it has come to where the communicator is to break.
bool is_broken(const ncclComm& comm) {
  const char* where = std::getenv("SHOAL_FAKE_NCCL_BREAKS");
  if (where == nullptr || std::atoi(where) != comm.rank) return false;
  return comm.operations >= std::atoi(std::strchr(where, ':') + 1);
}

}  // namespace

namespace shoal::lm::cuda {

void run(cudaStream_t stream);  // of the emulated CUDA

bool exchange_under_way(ncclComm* comm) {
  int done = comm->exchange.empty() ? 1 : 0;
  if (done == 0 && comm->looks-- <= 0)
    MPI_Testall(static_cast<int>(comm->exchange.size()), comm->exchange.data(), &done, MPI_STATUSES_IGNORE);
  if (done != 0) comm->exchange.clear();
  return done == 0;
}

/// For the emulated streams.
bool exchange_under_way() {
  return std::any_of(comms.begin(), comms.end(), [](ncclComm* comm) { return exchange_under_way(comm); });
}

bool reduction_under_way(ncclComm* comm) {
  if (comm->values != nullptr) {
    if (exchange_under_way(comm)) return true;
    MPI_Iallreduce(MPI_IN_PLACE, std::exchange(comm->values, nullptr), comm->count, MPI_DOUBLE, MPI_MAX, comm->mpi,
                   &comm->reduction);
  }
  int done = 1;
  if (comm->reduction != MPI_REQUEST_NULL) MPI_Test(&comm->reduction, &done, MPI_STATUS_IGNORE);
  return done == 0;
}

}  // namespace shoal::lm::cuda

extern "C" {
const char* ncclGetErrorString(ncclResult_t) { return "emulated failure"; }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::memset(id, 7, sizeof *id);
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t*) {
  int mpi_size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &mpi_size);
  if (mpi_size != size || id.internal[0] != 7) return ncclInvalidArgument;
  *comm = new ncclComm;
  MPI_Comm_dup(MPI_COMM_WORLD, &(*comm)->mpi);
  (*comm)->rank = rank;
  comms.push_back(*comm);
  return number("SHOAL_FAKE_NCCL_REFUSES", -1) == rank ? ncclSystemError : ncclInProgress;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  *state = is_broken(*comm)                             ? ncclRemoteError
           : shoal::lm::cuda::reduction_under_way(comm) ? ncclInProgress
                                                        : ncclSuccess;
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  std::erase(comms, comm);
  delete comm;  // the others may be gone: MPI's part is left to its end
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) { return ncclCommDestroy(comm); }

ncclResult_t ncclAllReduce(const void*, void* values, std::size_t count, ncclDataType_t, ncclRedOp_t, ncclComm_t comm,
                           cudaStream_t stream) {
  ++comm->operations;
  shoal::lm::cuda::run(stream);
  comm->values = static_cast<double*>(values);
  comm->count = static_cast<int>(count);
  return ncclInProgress;
}
ncclResult_t ncclGroupStart() { return ncclSuccess; }
ncclResult_t ncclRecv(void* to, std::size_t bytes, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t) {
  group_comm = comm;
  MPI_Irecv(to, static_cast<int>(bytes), MPI_BYTE, peer, 0, comm->mpi, &comm->exchange.emplace_back());
  return ncclSuccess;
}
ncclResult_t ncclSend(const void* from, std::size_t bytes, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t) {
  group_comm = comm;
  MPI_Isend(from, static_cast<int>(bytes), MPI_BYTE, peer, 0, comm->mpi, &comm->exchange.emplace_back());
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  ++group_comm->operations;
  group_comm->looks = number("SHOAL_FAKE_NCCL_LATE", 0);
  return ncclInProgress;
}
}
