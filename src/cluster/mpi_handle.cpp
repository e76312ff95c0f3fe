#include "cluster/mpi_handle.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <thread>

#include "shoal/error.hpp"

namespace shoal::cluster {
namespace {

/// Defaults for Open MPI; what the user has set stays.
void set_defaults() {
  constexpr int keep = 0;
  // Ranks that wait give way to those that compute; costs a system call per idle poll, below a microsecond.
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", keep);
  // Started without mpirun: no daemon of its own, which takes 0.1 s and serves only MPI_Comm_spawn.
  setenv("OMPI_MCA_ess_singleton_isolated", "1", keep);
}

}  // namespace

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(ExitCode::internal, std::string(call) + " failed (" + std::string(text.data(), text.data() + length) +
                                      ") check the network and that every rank is alive");
}

Session::Session() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized == 0) {
    set_defaults();
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    owner_ = true;
  } else if (!alive()) {
    throw Error(ExitCode::internal,
                "MPI cannot be used (the program has called MPI_Finalize already) create the model before that");
  }
}

Session::~Session() {
  if (owner_ && alive()) MPI_Finalize();
}

bool Session::alive() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  return finalized == 0;
}

Communicator::Communicator(MPI_Comm comm) : comm_(comm) {
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

Communicator Communicator::duplicate(MPI_Comm parent) {
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_dup(parent, &comm), "MPI_Comm_dup");
  return Communicator(comm);
}

Communicator Communicator::of_node(MPI_Comm parent) {
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_split_type(parent, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &comm), "MPI_Comm_split_type");
  return Communicator(comm);
}

Communicator::~Communicator() {
  if (comm_ != MPI_COMM_NULL && Session::alive()) MPI_Comm_free(&comm_);
}

int Communicator::rank() const {
  int rank = 0;
  check(MPI_Comm_rank(comm_, &rank), "MPI_Comm_rank");
  return rank;
}

int Communicator::size() const {
  int size = 0;
  check(MPI_Comm_size(comm_, &size), "MPI_Comm_size");
  return size;
}

bool Request::done() {
  int completed = 0;
  check(MPI_Test(&request_, &completed, MPI_STATUS_IGNORE), "MPI_Test");
  return completed != 0;
}

template <class Post>
void Message::post_pieces(std::size_t piece, const Post& post) {
  pieces_.reserve(bytes_->size() / piece + 1);
  for (std::size_t at = 0; at < bytes_->size(); at += piece) {
    pieces_.push_back(MPI_REQUEST_NULL);
    post(bytes_->data() + at, static_cast<int>(std::min(piece, bytes_->size() - at)), &pieces_.back());
  }
}

Message Message::send(std::string bytes, Rank to, int tag, const Communicator& comm, std::size_t piece) {
  Message message(std::move(bytes));
  message.post_pieces(piece, [&](const char* data, int size, MPI_Request* request) {
    check(MPI_Isend(data, size, MPI_BYTE, to.value(), tag, comm.get(), request), "MPI_Isend");
  });
  return message;
}

Message Message::receive(std::string buffer, Rank from, int tag, const Communicator& comm, std::size_t piece) {
  Message message(std::move(buffer));
  message.post_pieces(piece, [&](char* data, int size, MPI_Request* request) {
    check(MPI_Irecv(data, size, MPI_BYTE, from.value(), tag, comm.get(), request), "MPI_Irecv");
  });
  return message;
}

Message::Message(Message&& other) noexcept
    : bytes_(std::move(other.bytes_)), pieces_(std::exchange(other.pieces_, {})) {}

Message& Message::operator=(Message&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(pieces_, other.pieces_);
  return *this;
}

Message::~Message() {
  const bool active =
      std::any_of(pieces_.begin(), pieces_.end(), [](MPI_Request piece) { return piece != MPI_REQUEST_NULL; });
  if (active) (void)bytes_.release();
}

bool Message::done() {
  int completed = 0;
  check(MPI_Testall(static_cast<int>(pieces_.size()), pieces_.data(), &completed, MPI_STATUSES_IGNORE), "MPI_Testall");
  return completed != 0;
}

void Message::cancel() {
  for (MPI_Request& piece : pieces_) {
    if (piece == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&piece);
    MPI_Wait(&piece, MPI_STATUS_IGNORE);
  }
}

void Pause::rest() const {
  using std::chrono::microseconds;
  if (idle_ == Idle::spin) return;
  const auto nap = (std::chrono::steady_clock::now() - start_) / 16;
  if (nap >= microseconds(5)) std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(nap, microseconds(1000)));
}

double Pause::waited_s() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

}  // namespace shoal::cluster
