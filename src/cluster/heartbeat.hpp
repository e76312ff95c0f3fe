// Heartbeat: tells a rank that hangs from one that is slow. Internal to src/cluster.
// Every rank sends a byte now and then to the rank before it, between tokens and while it waits, and so is watched by
// that one rank. A rank that waits ends the job once the rank after it has been silent for the whole limit: one that
// was stopped, whose node is gone, or whose token step takes longer than the limit. Silence counts from the start of
// the wait, so a rank that was busy itself accuses nobody.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cluster/mpi_handle.hpp"

namespace shoal::cluster {

class Heartbeat {
 public:
  /// Collective over @p world.
  explicit Heartbeat(MPI_Comm world);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  /// @param seconds of silence that end the job; 0: none do. Equal on all ranks
  void set_limit(double seconds);

  /// Tells that this rank lives. Cheap, never blocks.
  void beat();

  /// One wait for other ranks.
  class Watch {
   public:
    explicit Watch(Heartbeat* heartbeat) : heartbeat_(heartbeat), heard_(Clock::now()), looked_(heard_) {}
    /// To be called all the time while waiting; beats too. Ends the job if the watched rank is silent for too long.
    void look();

   private:
    using Clock = std::chrono::steady_clock;
    Heartbeat* heartbeat_;
    Clock::time_point heard_;
    Clock::time_point looked_;
  };

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool on() const { return limit_ > Clock::duration::zero() && comm_.size() > 1; }
  bool heard();
  [[noreturn]] void give_up() const;

  Communicator comm_;
  Rank before_;
  Rank after_;
  std::string name_of_after_;  ///< rank, process, node
  Clock::duration limit_{};
  Clock::time_point beaten_;
  std::optional<Message> sent_;
  std::optional<Message> awaited_;
};

}  // namespace shoal::cluster
