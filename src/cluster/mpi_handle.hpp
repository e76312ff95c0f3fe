// RAII for MPI handles, MPI's error codes as exceptions, and waiting without burning cores. Internal to src/cluster:
// no header that other modules include needs mpi.h.
#pragma once

#include <mpi.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::cluster {

/// @throws Error with MPI's own text if @p code is not MPI_SUCCESS
void check(int code, const char* call);

/// MPI_Init and MPI_Finalize, unless the host program has called MPI_Init: then it will finalize as well.
class Session {
 public:
  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// False from MPI_Finalize on: no MPI call is allowed any more.
  [[nodiscard]] static bool alive();

 private:
  bool owner_ = false;
};

/// Owns a communicator on which errors are returned instead of fatal.
class Communicator {
 public:
  static Communicator duplicate(MPI_Comm parent);
  static Communicator of_node(MPI_Comm parent);
  Communicator(Communicator&& other) noexcept : comm_(std::exchange(other.comm_, MPI_COMM_NULL)) {}
  Communicator& operator=(Communicator&&) = delete;
  ~Communicator();

  [[nodiscard]] MPI_Comm get() const { return comm_; }
  [[nodiscard]] int rank() const;
  [[nodiscard]] int size() const;

 private:
  explicit Communicator(MPI_Comm comm);
  MPI_Comm comm_;
};

/// A non-blocking collective. MPI cannot cancel one: wait until it is done before its buffers end.
class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  MPI_Request* out() { return &request_; }
  [[nodiscard]] bool done();

 private:
  MPI_Request request_ = MPI_REQUEST_NULL;
};

/// Bytes on their way between two ranks, together with their buffer; any size, in pieces that MPI's int counts can
/// express. Abandoned while active, it leaks the buffer rather than free it under MPI's hands.
class Message {
 public:
  static constexpr std::size_t largest_piece = std::size_t{1} << 30U;

  static Message send(std::string bytes, Rank to, int tag, const Communicator& comm, std::size_t piece = largest_piece);
  /// @param buffer of the size that is sent
  static Message receive(std::string buffer, Rank from, int tag, const Communicator& comm,
                         std::size_t piece = largest_piece);
  Message(Message&& other) noexcept;
  Message& operator=(Message&& other) noexcept;
  ~Message();

  [[nodiscard]] bool done();
  /// Gives up a receive that nothing has come for.
  void cancel();
  [[nodiscard]] const std::string& bytes() const { return *bytes_; }
  [[nodiscard]] std::string take() { return std::move(*bytes_); }

 private:
  explicit Message(std::string bytes) : bytes_(std::make_unique<std::string>(std::move(bytes))) {}
  template <class Post>
  void post_pieces(std::size_t piece, const Post& post);

  std::unique_ptr<std::string> bytes_;
  std::vector<MPI_Request> pieces_;
};

/// What a rank does while it waits: poll all the time, or leave the core to ranks that have work.
enum class Idle { spin, nap };

/// Paces a polling loop. Naps grow with the time waited, so that they add little to it: none at first, then a
/// sixteenth, at most a millisecond.
class Pause {
 public:
  explicit Pause(Idle idle) : idle_(idle) {}
  void rest() const;
  [[nodiscard]] double waited_s() const;

 private:
  Idle idle_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace shoal::cluster
