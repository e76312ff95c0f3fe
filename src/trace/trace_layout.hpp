// What a trace holds for each batch: names, units and meaning, in one list that writer and reader both walk.
#pragma once

#include <string_view>

#include "smc/run.hpp"
#include "trace/column.hpp"

namespace shoal::trace {

inline constexpr std::string_view format_name = "shoal-trace";
inline constexpr int format_version = 1;

// Dimension scales, in the root group. batch_number is also the commit mark: its row is written last.
inline constexpr const char* batch_scale = "batch_number";
inline constexpr const char* particle_scale = "particle_id";
inline constexpr const char* token_scale = "token_position";

// Bytes of the tokens that occur, in the group /vocabulary; both lists grow, and entry k of the tokens is the text
// bytes[bytes_end[k-1], bytes_end[k]).
inline constexpr const char* vocabulary_token = "vocabulary/token";
inline constexpr const char* vocabulary_end = "vocabulary/bytes_end";
inline constexpr const char* vocabulary_bytes = "vocabulary/bytes";

/// Column of /batch that traces of earlier programs lack.
inline constexpr const char* moved_between_nodes = "moved_between_nodes";

enum class RowShape { per_particle, per_token };  ///< [N] or [N, batch size]

/// Calls visit(column, field) for the scalars of /batch.
template <class Record, class Visit>
void for_each_scalar(Record& r, const Visit& visit) {
  visit(Column{"time_s", "s", "time since the run began"}, r.time_s);
  visit(Column{"tokens", "1", "token steps in this batch"}, r.tokens);
  visit(Column{"ess", "1", "effective sample size before resampling"}, r.ess);
  visit(Column{"log_z", "nat", "estimate of the log marginal likelihood after this batch"}, r.log_z);
  visit(Column{"resampled", "1", "1 if the particles were resampled after this batch"}, r.resampled);
  visit(Column{"moved", "1", "particles that changed rank"}, r.migration.moved);
  visit(Column{moved_between_nodes, "1", "particles that changed node"}, r.migration.between_nodes);
  visit(Column{"sent", "1", "distinct (parent, destination) states sent"}, r.migration.sent);
  visit(Column{"messages", "1", "pairs of ranks that exchanged particles"}, r.migration.messages);
  visit(Column{"bytes_moved", "byte", "all bytes that travelled between ranks for it"}, r.migration.bytes);
  visit(Column{"unique_contexts", "1", "distinct contexts of the last forward pass, over all ranks"},
        r.unique_contexts);
  visit(Column{"decode_s", "s", "forward passes, rank 0"}, r.times.decode_s);
  visit(Column{"potential_s", "s", "masks, draws and potentials, rank 0"}, r.times.potential_s);
  visit(Column{"reduce_s", "s", "allreduce and waiting for slower ranks, rank 0"}, r.times.reduce_s);
  visit(
      Column{"migrate_s", "s",
             "migration not hidden behind decoding, rank 0; waiting for particles counts in the batch that they join"},
      r.times.migrate_s);
  visit(Column{"trace_s", "s", "writing the previous batch to this trace"}, r.times.trace_s);
}

/// Calls visit(column, shape, field) for the arrays of /particle.
template <class Record, class Visit>
void for_each_array(Record& r, const Visit& visit) {
  visit(Column{"log_weight", "nat", "after reweighting, before resampling; logsumexp - ln N = log_z"},
        RowShape::per_particle, r.log_weight);
  visit(Column{"ancestor", "1", "particle that this slot continues after this batch; itself if not resampled"},
        RowShape::per_particle, r.ancestor);
  visit(Column{"rank", "1", "MPI rank that decoded this batch"}, RowShape::per_particle, r.rank);
  visit(Column{"token", "1", "token ids drawn in this batch, before resampling; -1 where none"}, RowShape::per_token,
        r.token);
  visit(Column{"finished", "1", "1 if the sequence has ended, before resampling"}, RowShape::per_particle, r.finished);
}

inline constexpr Column potential_column{
    "", "nat", "log of the potential, before resampling: prefix form, complete form if finished"};

}  // namespace shoal::trace
