// What a checkpoint holds: names and order, in lists that writer and reader both walk. Internal to src/trace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "trace/checkpoint.hpp"

namespace shoal::trace {

inline constexpr std::string_view checkpoint_format = "shoal-checkpoint";
inline constexpr int checkpoint_version = 2;

/// Attributes of the root.
template <class State, class Visit>
void for_each_total(State& s, const Visit& visit) {
  visit("batches", s.batches);
  visit("token_steps", s.steps);
  visit("particle_tokens", s.particle_tokens);
  visit("elapsed_s", s.elapsed_s);
  visit("moved", s.migration.moved);
  visit("moved_between_nodes", s.migration.between_nodes);
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

/// Of each particle: the index of its history. Everything else is listed by history.
inline constexpr const char* history_of_particle = "particle_history";

/// Datasets of the group /history with one value per history.
template <class History, class Visit>
void for_each_number(History& h, const Visit& visit) {
  visit("log_weight", h.log_weight);
  visit("stop_state", h.stop_state);
  visit("death_step", h.death.step);
  visit("death_culprit", h.death.culprit);
}

/// Lists of histories lie one after the other in NAME; NAME + end_suffix says where each ends.
inline constexpr const char* end_suffix = "_end";

/// Of all that a checkpoint says.
std::uint64_t content_hash(const Checkpoint& checkpoint, const std::string& description);

/// info and identity as one JSON object.
std::string describe_run(const Checkpoint& checkpoint);
/// @throws std::exception if @p json is not what describe_run writes
void read_description(const std::string& json, Checkpoint* checkpoint);

}  // namespace shoal::trace
