#include "smc/run_state.hpp"

#include <algorithm>
#include <type_traits>

#include "base/bytes.hpp"
#include "shoal/error.hpp"

namespace shoal::smc {
namespace {

static_assert(std::is_trivially_copyable_v<MigrationStats> && std::is_trivially_copyable_v<PhaseTimes>);

bool fits(const HistoryState& history, std::size_t potentials, const Options& options, int vocabulary_size) {
  return history.states.size() == potentials && history.values.size() == potentials && history.status <= Status::dead &&
         history.tokens.size() <= static_cast<std::size_t>(options.max_tokens) &&
         std::all_of(history.tokens.begin(), history.tokens.end(),
                     [&](TokenId token) { return token.value() >= 0 && token.value() < vocabulary_size; });
}

}  // namespace

void put(const HistoryState& history, ByteWriter* out) {
  out->put(history.status);
  out->put_span<TokenId>(history.tokens);
  out->put_string(history.text);
  out->put(history.stop_state);
  out->put<std::uint64_t>(history.states.size());
  for (const PotentialState& state : history.states) out->put_string(state);
  out->put_span<double>(history.values);
  out->put(history.log_weight);
  out->put(history.death);
}

void get(ByteReader* in, HistoryState* history) {
  history->status = in->get<Status>();
  history->tokens = in->get_vector<TokenId>();
  history->text = in->get_string();
  history->stop_state = in->get<StopStrings::State>();
  history->states.resize(in->get<std::uint64_t>());
  for (PotentialState& state : history->states) state = in->get_string();
  history->values = in->get_vector<double>();
  history->log_weight = in->get<double>();
  history->death = in->get<Death>();
}

std::string to_bytes(const RunState& state) {
  ByteWriter out;
  out.put(state.batches);
  out.put(state.steps);
  out.put(state.particle_tokens);
  out.put(state.migration);
  out.put(state.elapsed_s);
  out.put(state.times);
  out.put<std::uint64_t>(state.histories.size());
  for (const HistoryState& history : state.histories) put(history, &out);
  out.put_span<std::uint32_t>(state.history_of);
  return out.take();
}

RunState run_state_from(std::string_view bytes) {
  ByteReader in(bytes);
  RunState state;
  state.batches = in.get<std::uint32_t>();
  state.steps = in.get<std::uint32_t>();
  state.particle_tokens = in.get<std::uint64_t>();
  state.migration = in.get<MigrationStats>();
  state.elapsed_s = in.get<double>();
  state.times = in.get<PhaseTimes>();
  state.histories.resize(in.get<std::uint64_t>());
  for (HistoryState& history : state.histories) get(&in, &history);
  state.history_of = in.get_vector<std::uint32_t>();
  return state;
}

void check_fit(const RunState& state, const Options& options, std::span<const PotentialPtr> potentials,
               int vocabulary_size) {
  const bool all_fit =
      std::ranges::all_of(
          state.histories,
          [&](const HistoryState& h) { return fits(h, potentials.size(), options, vocabulary_size); }) &&
      std::ranges::all_of(state.history_of, [&](std::uint32_t history) { return history < state.histories.size(); });
  if (!all_fit || state.history_of.size() != static_cast<std::size_t>(options.particles))
    throw UsageError(
        "the saved state is not one of this run (another number of particles, potentials or tokens) start from one "
        "that the same command has written");
}

}  // namespace shoal::smc
