// Plain values to and from a potential's state: a byte string that can be copied, compared and sent to another process.
// A state may come from a checkpoint that was written with other potentials, so what is read is checked.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>

#include "base/assert.hpp"
#include "potential/quote.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {

/// Overwrites the bytes of @p state from @p offset on.
template <class T>
void store(const T& value, PotentialState* state, std::size_t offset = 0) {
  static_assert(std::has_unique_object_representations_v<T>, "equal values must give equal states");
  SHOAL_EXPECT(offset + sizeof value <= state->size());
  std::memcpy(state->data() + offset, &value, sizeof value);
}

template <class T>
PotentialState to_state(const T& value) {
  PotentialState state(sizeof value, '\0');
  store(value, &state);
  return state;
}

/// @pre the state holds a T at @p offset: see expect_state
template <class T>
T from_state(const PotentialState& state, std::size_t offset = 0) {
  static_assert(std::has_unique_object_representations_v<T>);
  SHOAL_EXPECT(offset + sizeof(T) <= state.size());
  T value;
  std::memcpy(&value, state.data() + offset, sizeof value);
  return value;
}

/// @throws UsageError unless @p own, which tells whether a state can be one of the potential called @p name
inline void expect_state(bool own, const std::string& name) {
  if (!own)
    throw UsageError("bad state of potential " + quote(name) +
                     " (it belongs to another potential) resume with the potentials that the checkpoint was made with");
}

}  // namespace shoal
