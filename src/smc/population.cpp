#include "smc/population.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/assert.hpp"
#include "shoal/error.hpp"
#include "smc/context_rebuild.hpp"
#include "smc/equal_histories.hpp"

namespace shoal::smc {
namespace {

constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

History first_history(std::span<const PotentialPtr> potentials) {
  History history;
  for (const PotentialPtr& potential : potentials) {
    history.states.push_back(potential->start());
    history.values.push_back(potential->log_prefix(history.states.back()));
    if (history.values.back() == -std::numeric_limits<double>::infinity())
      throw UsageError("potential '" + potential->name() +
                       "' is zero on the empty text (no answer can satisfy it) loosen or remove it");
    history.log_weight += history.values.back();
  }
  history.begin_batch();
  return history;
}

/// Lets equal histories be one. It need not wait if one of them need not.
void unite(std::vector<History>* histories, std::vector<std::uint32_t>* history_of) {
  const auto moved_to = merge_equal(
      histories, [](History* stays, const History& goes) { stays->waiting = stays->waiting && goes.waiting; });
  for (std::uint32_t& history : *history_of) history = moved_to[history];
}

}  // namespace

double History::updated_log_weight() const {
  double sum = log_weight;
  for (const double increment : increments) sum += increment;
  return sum + expensive_increment;
}

Status History::updated_status() const {
  return updated_log_weight() == -std::numeric_limits<double>::infinity() ? Status::dead : status;
}

void History::begin_batch() {
  status = updated_status();
  log_weight = updated_log_weight();
  increments.clear();
  expensive_increment = 0.0;
  start = {status, tokens.size(), text.size(), states, values};
}

Members::Members(std::span<const std::uint32_t> history_of, const std::vector<bool>& wanted)
    : begin_(wanted.size() + 1, 0) {
  for (const std::uint32_t history : history_of) ++begin_[history + 1];
  for (std::size_t h = 0; h < wanted.size(); ++h) begin_[h + 1] = begin_[h] + (wanted[h] ? begin_[h + 1] : 0);
  places_.resize(begin_.back());
  std::vector<std::size_t> next(begin_.begin(), begin_.end() - 1);
  for (std::uint32_t place = 0; place < history_of.size(); ++place)
    if (wanted[history_of[place]]) places_[next[history_of[place]]++] = place;
}

Population::Population(ContextTree* tree, std::span<const PotentialPtr> potentials, std::vector<LogicalId> ids)
    : ids_(std::move(ids)), history_of_(ids_.size(), 0) {
  History first = first_history(potentials);
  if (ids_.empty()) return;
  tree->retain(tree->root());
  first.context = ContextReference(tree, tree->root());
  histories_.push_back(std::move(first));
}

Population::Population(ContextTree* tree, std::size_t vocabulary_size, const RunState& start,
                       std::vector<LogicalId> ids)
    : ids_(std::move(ids)) {
  std::vector<std::uint32_t> place_here(start.histories.size(), none);
  for (const LogicalId id : ids_) {
    const std::uint32_t history = start.history_of[id.value()];
    if (place_here[history] == none) {
      place_here[history] = static_cast<std::uint32_t>(histories_.size());
      static_cast<HistoryState&>(histories_.emplace_back()) = start.histories[history];
      histories_.back().begin_batch();
    }
    history_of_.push_back(place_here[history]);
  }
  rebuild_growing(tree, vocabulary_size, histories_);
}

std::size_t Population::search(LogicalId id) const {
  if (ids_.empty() || id < ids_.front()) return 0;
  const std::size_t offset = id.value() - ids_.front().value();
  if (ids_.back().value() - ids_.front().value() + 1 == ids_.size()) return std::min(offset, ids_.size());
  return static_cast<std::size_t>(std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
}

std::uint32_t Population::history_of(LogicalId id) const {
  const std::size_t place = search(id);
  return place < ids_.size() && ids_[place] == id ? history_of_[place] : none;
}

const History& Population::at(LogicalId id) const {
  const std::uint32_t history = history_of(id);
  SHOAL_EXPECT(history != none);
  return histories_[history];
}

std::uint32_t Population::add_copy(std::uint32_t history) {
  History copy = histories_[history];
  histories_.push_back(std::move(copy));
  return static_cast<std::uint32_t>(histories_.size() - 1);
}

void Population::keep_parents(std::span<const Birth> births) {
  std::vector<bool> kept(histories_.size(), false);
  for (const Birth& birth : births)
    if (const std::uint32_t history = history_of(birth.parent); history != none) kept[history] = true;
  for (std::size_t h = 0; h < histories_.size(); ++h)
    if (!kept[h]) histories_[h] = History();
  for (std::uint32_t& history : history_of_)
    if (!kept[history]) history = none;
}

void Population::rebuild(std::span<const Birth> births, Arrivals arrivals, double log_weight) {
  const auto local = static_cast<std::uint32_t>(histories_.size());
  std::unordered_map<LogicalId, std::uint32_t> arrived;
  for (std::uint32_t k = 0; k < arrivals.parents.size(); ++k) arrived.emplace(arrivals.parents[k], local + k);
  std::move(arrivals.histories.begin(), arrivals.histories.end(), std::back_inserter(histories_));

  std::vector<std::uint32_t> child_of(histories_.size(), none);
  std::vector<History> children;
  std::vector<std::uint32_t> history_of_child;
  std::vector<LogicalId> ids;
  history_of_child.reserve(births.size());
  ids.reserve(births.size());
  for (const Birth& birth : births) {
    std::uint32_t parent = history_of(birth.parent);
    if (parent == none) parent = arrived.at(birth.parent);
    if (child_of[parent] == none) {
      child_of[parent] = static_cast<std::uint32_t>(children.size());
      children.push_back(std::move(histories_[parent]));
      children.back().log_weight = log_weight;
      children.back().begin_batch();
    }
    history_of_child.push_back(child_of[parent]);
    ids.push_back(birth.child);
  }
  if (!arrivals.parents.empty()) unite(&children, &history_of_child);
  histories_ = std::move(children);
  history_of_ = std::move(history_of_child);
  ids_ = std::move(ids);
}

void Population::end_waiting() {
  for (History& history : histories_) history.waiting = false;
}

Population::Progress Population::progress() const {
  Progress progress;
  for (const History& history : histories_) {
    const std::size_t made = history.increments.size() + (history.drawing ? 1 : 0);
    progress.most = std::max(progress.most, made);
    if (history.status != Status::growing) continue;
    progress.least = std::min(progress.least.value_or(made), made);
    if (!history.waiting) progress.least_ready = std::min(progress.least_ready.value_or(made), made);
  }
  return progress;
}

}  // namespace shoal::smc
