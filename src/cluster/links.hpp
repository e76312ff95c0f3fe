// Links: the communicators between the ranks of a World. Internal to src/cluster.
#pragma once

#include <vector>

#include "cluster/heartbeat.hpp"
#include "cluster/mpi_handle.hpp"
#include "shoal/error.hpp"

namespace shoal::cluster {

struct Links {
  Links();
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  /// Keeps a message until MPI has done with it, however long its sender or maker is gone.
  void adopt(Message message);
  /// Lets MPI go on with them: it does nothing unless it is called.
  void push_adopted();

  Session session;
  Communicator agreements = Communicator::duplicate(MPI_COMM_WORLD);  ///< of World, and the stop messages
  Communicator data = Communicator::duplicate(MPI_COMM_WORLD);        ///< of the transport
  Communicator node = Communicator::of_node(MPI_COMM_WORLD);          ///< of the ranks on this node
  Rank rank{agreements.rank()};
  int size = agreements.size();
  Heartbeat heartbeat{MPI_COMM_WORLD};
  std::vector<int> nodes;  ///< by rank: the node that it is on, as a number that all of the node's ranks share
  int ranks_on_node = 1;
  int rank_on_node = 0;
  int cores_on_node = 1;
  /// For waits between two steps of a run: nap only if the node has fewer cores than ranks, so that waking up late
  /// never costs where cores are free.
  Idle idle = Idle::spin;
  /// How long a rank that failed waits for the others to notice before it ends them. Those that wait for it where links
  /// are broken cannot; the lowest rank speaks then.
  [[nodiscard]] double patience_for(ExitCode code) const;
  double patience_s = 60.0;

 private:
  std::vector<Message> adopted_;
};

}  // namespace shoal::cluster
