// Population: this rank's particles by logical id. Owns their texts, potential states and
// references to contexts; a child shares its parent's context until they differ.
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

/// A particle at the start of the current batch; what a batch that is cut short goes back to.
struct BatchStart {
  Status status = Status::growing;
  std::size_t tokens = 0;
  std::size_t text_bytes = 0;
  std::vector<PotentialState> states;
  std::vector<double> values;
};

struct Particle : ParticleState {
  LogicalId id;
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

class Population {
 public:
  /// The particles that @p owners gives to @p mine, all at the root, with log-weight = sum of the potentials'
  /// log_prefix of the empty text.
  /// @throws UsageError if a potential is zero there
  Population(ContextTree* tree, std::span<const PotentialPtr> potentials, std::span<const Rank> owners, Rank mine);
  /// The particles of @p start that @p owners gives to @p mine, their contexts computed anew.
  Population(ContextTree* tree, std::size_t vocabulary_size, std::span<const ParticleState> start,
             std::span<const Rank> owners, Rank mine);

  [[nodiscard]] std::span<Particle> particles() { return particles_; }
  [[nodiscard]] std::span<const Particle> particles() const { return particles_; }
  [[nodiscard]] bool any_growing() const;

  [[nodiscard]] const Particle& at(LogicalId id) const;
  /// Drops the particles without children here.
  void keep_parents(std::span<const Birth> births);
  /// Replaces the particles by the children of a resampling, each with @p log_weight.
  /// @param arrivals the parents that lived elsewhere
  void rebuild(std::span<const Birth> births, std::span<const Particle> arrivals, double log_weight);
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
  [[nodiscard]] const Particle* find(LogicalId id) const;

  std::vector<Particle> particles_;  ///< by id
};

}  // namespace shoal::smc
