// Where a rank's time went.
#pragma once

namespace shoal::smc {

/// Seconds of this rank (rank 0 in records) spent since the previous record.
struct PhaseTimes {
  double decode_s = 0.0;      ///< forward passes
  double potential_s = 0.0;   ///< masks, draws, potentials
  double reduce_s = 0.0;      ///< allreduces, and waiting for slower ranks in them
  double migrate_s = 0.0;     ///< plan, and migration not hidden behind decoding
  double trace_s = 0.0;       ///< observer of the previous batch
  double checkpoint_s = 0.0;  ///< gathering and writing the state
};

}  // namespace shoal::smc
