// What a checkpoint holds: names and order, in lists that writer and reader both walk. Internal to src/trace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "trace/checkpoint.hpp"

namespace shoal::trace {

inline constexpr std::string_view checkpoint_format = "shoal-checkpoint";
inline constexpr int checkpoint_version = 1;

/// Attributes of the root.
template <class State, class Visit>
void for_each_total(State& s, const Visit& visit) {
  visit("batches", s.batches);
  visit("token_steps", s.steps);
  visit("particle_tokens", s.particle_tokens);
  visit("elapsed_s", s.elapsed_s);
  visit("moved", s.migration.moved);
  visit("sent", s.migration.sent);
  visit("messages", s.migration.messages);
  visit("bytes_moved", s.migration.bytes);
  visit("decode_s", s.times.decode_s);
  visit("potential_s", s.times.potential_s);
  visit("reduce_s", s.times.reduce_s);
  visit("migrate_s", s.times.migrate_s);
  visit("trace_s", s.times.trace_s);
  visit("checkpoint_s", s.times.checkpoint_s);
}

/// Datasets of the group /particle with one value per particle.
template <class Particle, class Visit>
void for_each_number(Particle& p, const Visit& visit) {
  visit("log_weight", p.log_weight);
  visit("stop_state", p.stop_state);
  visit("death_step", p.death.step);
  visit("death_culprit", p.death.culprit);
}

/// Lists of particles lie one after the other in NAME; NAME + end_suffix says where each ends.
inline constexpr const char* end_suffix = "_end";

/// Of all that a checkpoint says.
std::uint64_t content_hash(const Checkpoint& checkpoint, const std::string& description);

/// info and identity as one JSON object.
std::string describe_run(const Checkpoint& checkpoint);
/// @throws std::exception if @p json is not what describe_run writes
void read_description(const std::string& json, Checkpoint* checkpoint);

}  // namespace shoal::trace
