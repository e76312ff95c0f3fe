// StopSignal: rank 0's deadline, known to every rank without waiting. Internal to src/cluster.
// Rank 0 sends each other rank exactly one byte per signal, at the deadline or else when its signal is destroyed; the
// others have a receive open from the start. So the n-th byte always belongs to the n-th signal: nothing stale is left
// for the next run, and nobody waits for anybody at the end.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "cluster/links.hpp"

namespace shoal::cluster {

class StopSignal {
 public:
  /// @param timeout_s from now, by rank 0's clock; the others take it as a hint when to listen more closely
  StopSignal(Links* links, std::optional<double> timeout_s);
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// Never blocks.
  [[nodiscard]] bool passed();

 private:
  enum class Word : char { ended, stop };
  void send(Word word);
  bool heard();

  Links* links_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;  ///< rank 0; elsewhere: long before it
  std::vector<Message> messages_;  ///< rank 0: to every other rank, once sent; elsewhere: the one that is awaited
  bool passed_ = false;
};

}  // namespace shoal::cluster
