// World: the MPI processes that work together. Owns MPI's start and end (unless the host program does) and the
// communicators; one process without mpirun is a world of one.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "shoal/error.hpp"
#include "shoal/ids.hpp"

namespace shoal::cluster {

struct Links;

/// An error that every rank throws alike, so that rank 0 alone prints it.
class AgreedError : public Error {
 public:
  using Error::Error;
};

class World {
 public:
  /// The process's world; made on first use (collective), lives until the process ends.
  static std::shared_ptr<World> shared();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Rank rank() const;
  [[nodiscard]] int size() const;
  [[nodiscard]] int ranks_on_node() const;
  /// This rank's number among them.
  [[nodiscard]] int rank_on_node() const;
  /// That its ranks may use together, see base/cores.hpp.
  [[nodiscard]] int cores_on_node() const;

  /// Rank 0's @p mine, on every rank. Collective; the others sleep while they wait.
  [[nodiscard]] std::string broadcast(std::string_view mine);
  /// Every rank's @p mine, by rank, on every rank. Collective, for short texts once in a while.
  [[nodiscard]] std::vector<std::string> share(std::string_view mine);

  /// Runs @p action on every rank; collective. Returns its result if it succeeded on all of them.
  /// If the others cannot be told within a minute, because they wait inside the action for this rank, its error is
  /// printed here and the whole job is aborted.
  /// @throws AgreedError on all ranks if some failed: line and exit code of the lowest that failed by itself (and not
  ///         with a PeerError, because of another)
  template <class Action>
  std::invoke_result_t<Action&> together(Action&& action);

  /// From now on the job ends, with a line that names the rank and exit code 75, when a rank gives no sign of life for
  /// @p seconds while another waits for it; 0: never (also before the first call). A sign is a token, or a wait.
  void set_hang_limit(double seconds);

  /// Ends every rank at once.
  [[noreturn]] void abort(int code);

  /// For the transport.
  [[nodiscard]] Links& links() { return *links_; }

 private:
  World();
  void agree(const std::exception_ptr& failure);
  [[nodiscard]] std::string broadcast_from(Rank root, std::string_view mine);

  std::unique_ptr<Links> links_;
};

template <class Action>
std::invoke_result_t<Action&> World::together(Action&& action) {
  using Result = std::invoke_result_t<Action&>;
  std::exception_ptr failure;
  if constexpr (std::is_void_v<Result>) {
    try {
      action();
    } catch (...) {
      failure = std::current_exception();
    }
    agree(failure);
  } else {
    std::optional<Result> result;
    try {
      result.emplace(action());
    } catch (...) {
      failure = std::current_exception();
    }
    agree(failure);
    return std::move(*result);
  }
}

}  // namespace shoal::cluster
