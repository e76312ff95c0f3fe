// Population: this rank's particles by logical id, and the histories that they stand on. Particles with the same tokens
// have everything in common but their ids, so they share one history until they draw different tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shoal/language_model.hpp"
#include "shoal/potential.hpp"
#include "smc/run_state.hpp"
#include "smc/transport.hpp"

namespace shoal::smc {

/// One counted reference to a node of a context tree.
class ContextReference {
 public:
  ContextReference() = default;
  /// Takes over a reference that is already counted.
  ContextReference(ContextTree* tree, ContextId id) : tree_(tree), id_(id) {}
  ContextReference(const ContextReference& other) : tree_(other.tree_), id_(other.id_) {
    if (tree_ != nullptr) tree_->retain(id_);
  }
  ContextReference(ContextReference&& other) noexcept : tree_(std::exchange(other.tree_, nullptr)), id_(other.id_) {}
  ContextReference& operator=(ContextReference other) noexcept {
    std::swap(tree_, other.tree_);
    std::swap(id_, other.id_);
    return *this;
  }
  ~ContextReference() {
    if (tree_ != nullptr) tree_->release(id_);
  }

  [[nodiscard]] ContextId id() const { return id_; }
  [[nodiscard]] explicit operator bool() const { return tree_ != nullptr; }
  void reset() { *this = ContextReference(); }

 private:
  ContextTree* tree_ = nullptr;
  ContextId id_;
};

/// A history at the start of the current batch; what a batch that is cut short goes back to.
struct BatchStart {
  Status status = Status::growing;
  std::size_t tokens = 0;
  std::size_t text_bytes = 0;
  std::vector<PotentialState> states;
  std::vector<double> values;
};

/// What all particles with the same tokens have in common. Their log-weights too: since the last resampling, which
/// gives all particles the same, a log-weight is a sum over the tokens.
struct History : HistoryState {
  ContextReference context;          ///< while growing
  bool waiting = false;              ///< for its context's data, which is on its way from another rank
  bool drawing = false;              ///< its next token is being drawn
  std::vector<double> increments;    ///< by token of the batch
  double expensive_increment = 0.0;  ///< of the expensive potentials, for the whole batch
  BatchStart start;

  /// The log-weight now.
  [[nodiscard]] double updated_log_weight() const;
  /// The status now: also dead if an expensive potential has made the weight 0.
  [[nodiscard]] Status updated_status() const;
  /// Makes now the start of a batch.
  void begin_batch();
};

/// Parents of a resampling that lived on other ranks, in two columns.
struct Arrivals {
  std::vector<LogicalId> parents;
  std::vector<History> histories;
};

/// The particles of some histories, by their places in a Population.
class Members {
 public:
  /// @param wanted by history
  Members(std::span<const std::uint32_t> history_of, const std::vector<bool>& wanted);
  /// Places, ascending; of a history that is not wanted none.
  [[nodiscard]] std::span<const std::uint32_t> of(std::uint32_t history) const {
    return std::span(places_).subspan(begin_[history], begin_[history + 1] - begin_[history]);
  }

 private:
  std::vector<std::size_t> begin_;  ///< by history, and the end
  std::vector<std::uint32_t> places_;
};

/// Every history has a particle. Particles are addressed by place: the position of their id among this rank's.
class Population {
 public:
  /// Particles @p ids (ascending), all at the root, with log-weight = sum of the potentials' log_prefix of the empty
  /// text.
  /// @throws UsageError if a potential is zero there
  Population(ContextTree* tree, std::span<const PotentialPtr> potentials, std::vector<LogicalId> ids);
  /// The particles @p ids of @p start, their contexts computed anew.
  Population(ContextTree* tree, std::size_t vocabulary_size, const RunState& start, std::vector<LogicalId> ids);

  [[nodiscard]] std::span<History> histories() { return histories_; }
  [[nodiscard]] std::span<const History> histories() const { return histories_; }
  [[nodiscard]] std::span<const LogicalId> ids() const { return ids_; }                    ///< by place
  [[nodiscard]] std::span<const std::uint32_t> history_of() const { return history_of_; }  ///< by place
  [[nodiscard]] const History& at(LogicalId id) const;
  /// A further history, equal to @p history for now. The caller gives it particles.
  std::uint32_t add_copy(std::uint32_t history);
  void give(std::size_t place, std::uint32_t history) { history_of_[place] = history; }

  /// Drops the histories that no child here will have, so that their contexts are free. To be followed by rebuild.
  void keep_parents(std::span<const Birth> births);
  /// Replaces the particles by the children of a resampling, each with @p log_weight.
  /// @param births by child
  void rebuild(std::span<const Birth> births, Arrivals arrivals, double log_weight);
  /// The data of all contexts has come.
  void end_waiting();
  /// Tokens of the batch.
  struct Progress {
    std::size_t most = 0;                    ///< that a particle has made, or is drawing
    std::optional<std::size_t> least;        ///< that a growing one has made
    std::optional<std::size_t> least_ready;  ///< that a growing one which need not wait has made
  };
  [[nodiscard]] Progress progress() const;

 private:
  /// The place of @p id, or where it would be.
  [[nodiscard]] std::size_t search(LogicalId id) const;
  /// Index of its history, or none.
  [[nodiscard]] std::uint32_t history_of(LogicalId id) const;

  std::vector<LogicalId> ids_;
  std::vector<std::uint32_t> history_of_;
  std::vector<History> histories_;
};

}  // namespace shoal::smc
