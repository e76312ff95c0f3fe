#include "potential/dfa.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "shoal/error.hpp"

namespace shoal {
namespace {

constexpr std::size_t most_states = 100'000;
constexpr std::size_t most_moves = 4'000'000;
constexpr std::size_t most_cells = 12'000'000;
constexpr std::size_t most_visits = 200'000'000;
constexpr std::size_t most_stored = 20'000'000;

std::size_t index(std::int32_t i) { return static_cast<std::size_t>(i); }

struct ConfigurationHash {
  std::size_t operator()(const StateSet& key) const {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const NfaState s : key) hash = (hash ^ s) * 0x9e3779b97f4a7c15ULL ^ (hash >> 29);
    return hash;
  }
};

/// A state of the result is a kernel of the NFA and, while an assertion in it looks back, the byte before it.
class Determiniser {
 public:
  explicit Determiniser(const Nfa& nfa) : nfa_(nfa), sets_(nfa), classes_(byte_classes(nfa)) {
    dfa_.classes = classes_.count();
    dfa_.byte_class = classes_.of;
    targets_.resize(index(dfa_.classes));
  }

  Dfa run() {
    const NfaState start = nfa_.start();
    dfa_.start = find_or_add(sets_.kernel({&start, 1}), Neighbour::text_edge);
    for (std::size_t state = 0; state < configurations_.size(); ++state) expand(state);
    return std::move(dfa_);
  }

 private:
  using Configuration = StateSet;  ///< kernel, then one element for the neighbour before

  std::int32_t find_or_add(StateSet kernel, Neighbour before) {
    const bool looks_back = sets_.has_assertion(kernel);
    kernel.push_back(static_cast<NfaState>(looks_back ? before : Neighbour::other));
    const auto [entry, added] = numbers_.try_emplace(std::move(kernel), static_cast<std::int32_t>(numbers_.size()));
    if (added) {
      stored_ += entry->first.size();
      configurations_.push_back(&entry->first);
      check_size();
    }
    return entry->second;
  }

  void check_size() const {
    const bool too_large = configurations_.size() > most_states || stored_ > most_stored || moves_ > most_moves ||
                           dfa_.next.size() > most_cells || sets_.visits() + visits_ > most_visits;
    if (too_large) throw UsageError(nfa_.size_error());
  }

  void expand(std::size_t state) {
    StateSet kernel = *configurations_[state];
    const auto before = static_cast<Neighbour>(kernel.back());
    kernel.pop_back();
    dfa_.next.resize(dfa_.next.size() + index(dfa_.classes), Dfa::dead);
    dfa_.accepting.push_back(sets_.accepts(sets_.resolve(kernel, before, Neighbour::text_edge)) ? 1 : 0);
    std::int32_t* row = dfa_.next.data() + state * index(dfa_.classes);
    if (sets_.has_assertion(kernel)) {
      for (const auto after : {Neighbour::newline, Neighbour::word, Neighbour::other})
        move(sets_.resolve(kernel, before, after), &after, row);
    } else {
      move(kernel, nullptr, row);
    }
    check_size();
  }

  /// Fills in the moves of one row, on the byte classes that are @p only (null: all).
  void move(const StateSet& states, const Neighbour* only, std::int32_t* row) {
    collect_targets(states);
    for (std::size_t c = 0; c < targets_.size(); ++c) {
      const Neighbour read = neighbour_of(classes_.representative[c]);
      if (targets_[c].empty() || (only != nullptr && read != *only)) continue;
      const bool as_before = c > 0 && targets_[c] == targets_[c - 1] && row[c - 1] != Dfa::dead &&
                             neighbour_of(classes_.representative[c - 1]) == read;
      row[c] = as_before ? row[c - 1] : find_or_add(sets_.kernel(targets_[c]), read);
      ++moves_;
    }
  }

  void collect_targets(const StateSet& states) {
    for (auto& targets : targets_) targets.clear();
    for (const NfaState state : states) {
      for (const auto& t : nfa_.transitions(state)) {
        const std::size_t last = classes_.of[t.last];
        for (std::size_t c = classes_.of[t.first]; c <= last; ++c) targets_[c].push_back(t.target);
        visits_ += last - classes_.of[t.first] + 1;
      }
    }
  }

  const Nfa& nfa_;
  NfaSets sets_;
  ByteClasses classes_;
  Dfa dfa_;
  std::unordered_map<Configuration, std::int32_t, ConfigurationHash> numbers_;
  std::vector<const Configuration*> configurations_;  ///< by state; the map's keys do not move
  std::vector<StateSet> targets_;                     ///< scratch, by byte class
  std::size_t stored_ = 0;
  std::size_t moves_ = 0;
  std::size_t visits_ = 0;
};

/// States that can reach an accepting one.
std::vector<std::uint8_t> live_states(const Dfa& dfa) {
  const std::size_t classes = index(dfa.classes);
  std::vector<std::uint32_t> first(index(dfa.size()) + 1, 0);
  for (const std::int32_t target : dfa.next)
    if (target != Dfa::dead) ++first[index(target) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<std::uint32_t> sources(first.back());
  auto fill = first;
  for (std::size_t i = 0; i < dfa.next.size(); ++i)
    if (dfa.next[i] != Dfa::dead) sources[fill[index(dfa.next[i])]++] = static_cast<std::uint32_t>(i / classes);

  std::vector<std::uint8_t> live = dfa.accepting;
  std::vector<std::uint32_t> pending;
  for (std::size_t s = 0; s < live.size(); ++s)
    if (live[s] != 0) pending.push_back(static_cast<std::uint32_t>(s));
  while (!pending.empty()) {
    const std::size_t state = pending.back();
    pending.pop_back();
    for (std::uint32_t i = first[state]; i < first[state + 1]; ++i)
      if (std::exchange(live[sources[i]], std::uint8_t{1}) == 0) pending.push_back(sources[i]);
  }
  return live;
}

/// The reachable and live part, numbered breadth-first by ascending byte class.
Dfa trimmed(const Dfa& dfa) {
  Dfa result;
  result.classes = dfa.classes;
  result.byte_class = dfa.byte_class;
  const auto live = live_states(dfa);
  if (dfa.start == Dfa::dead || live[index(dfa.start)] == 0) return result;

  std::vector<std::int32_t> number(index(dfa.size()), Dfa::dead);
  std::vector<std::int32_t> order{dfa.start};
  number[index(dfa.start)] = 0;
  result.start = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    result.accepting.push_back(dfa.accepting[index(order[i])]);
    for (int c = 0; c < dfa.classes; ++c) {
      const std::int32_t target = dfa.next[index(order[i]) * index(dfa.classes) + index(c)];
      if (target == Dfa::dead || live[index(target)] == 0) {
        result.next.push_back(Dfa::dead);
        continue;
      }
      if (number[index(target)] == Dfa::dead) {
        number[index(target)] = static_cast<std::int32_t>(order.size());
        order.push_back(target);
      }
      result.next.push_back(number[index(target)]);
    }
  }
  return result;
}

/// Partition of 0..n-1 that is refined by marking elements and splitting each set into marked and unmarked.
class RefinablePartition {
 public:
  /// Elements grouped by equal @p label, in the order of labels.
  explicit RefinablePartition(const std::vector<std::uint8_t>& label)
      : elements_(label.size()), place_(label.size()), set_of_(label.size()) {
    std::array<std::uint32_t, 257> first{};
    for (const std::uint8_t l : label) ++first[l + 1U];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::array<std::uint32_t, 256> set_with{};
    for (std::size_t l = 0; l < 256; ++l) {
      if (first[l] == first[l + 1]) continue;
      set_with[l] = static_cast<std::uint32_t>(sets_.size());
      sets_.push_back({first[l], first[l + 1], 0});
    }
    for (std::uint32_t i = 0; i < label.size(); ++i) {
      place_[i] = first[label[i]]++;
      elements_[place_[i]] = i;
      set_of_[i] = set_with[label[i]];
    }
  }

  [[nodiscard]] std::size_t count() const { return sets_.size(); }
  [[nodiscard]] std::uint32_t set_of(std::size_t element) const { return set_of_[element]; }
  [[nodiscard]] std::span<const std::uint32_t> members(std::size_t set) const {
    return std::span(elements_).subspan(sets_[set].begin, sets_[set].end - sets_[set].begin);
  }

  void mark(std::uint32_t element) {
    Set& set = sets_[set_of_[element]];
    const std::uint32_t to = set.begin + set.marked;
    if (place_[element] < to) return;
    if (set.marked++ == 0) touched_.push_back(set_of_[element]);
    const std::uint32_t other = elements_[to];
    std::swap(elements_[to], elements_[place_[element]]);
    place_[other] = std::exchange(place_[element], to);
  }

  /// The smaller part of each split set gets a new number.
  void split() {
    for (const std::uint32_t s : touched_) {
      const Set old = sets_[s];
      const std::uint32_t cut = old.begin + old.marked;
      sets_[s].marked = 0;
      if (cut == old.end) continue;
      const bool marked_is_smaller = old.marked <= old.end - cut;
      const Set smaller = marked_is_smaller ? Set{old.begin, cut, 0} : Set{cut, old.end, 0};
      sets_[s] = marked_is_smaller ? Set{cut, old.end, 0} : Set{old.begin, cut, 0};
      for (std::uint32_t i = smaller.begin; i < smaller.end; ++i)
        set_of_[elements_[i]] = static_cast<std::uint32_t>(sets_.size());
      sets_.push_back(smaller);
    }
    touched_.clear();
  }

 private:
  struct Set {
    std::uint32_t begin;
    std::uint32_t end;
    std::uint32_t marked;
  };

  std::vector<std::uint32_t> elements_;  ///< grouped by set, marked ones first
  std::vector<std::uint32_t> place_;     ///< inverse of elements_
  std::vector<std::uint32_t> set_of_;
  std::vector<Set> sets_;
  std::vector<std::uint32_t> touched_;
};

struct Moves {
  std::vector<std::uint32_t> source;
  std::vector<std::uint32_t> target;
  std::vector<std::uint8_t> label;
};

Moves moves_of(const Dfa& dfa) {
  Moves moves;
  for (std::size_t i = 0; i < dfa.next.size(); ++i) {
    if (dfa.next[i] == Dfa::dead) continue;
    moves.source.push_back(static_cast<std::uint32_t>(i / index(dfa.classes)));
    moves.target.push_back(static_cast<std::uint32_t>(dfa.next[i]));
    moves.label.push_back(static_cast<std::uint8_t>(i % index(dfa.classes)));
  }
  return moves;
}

/// Splits blocks of states by the groups of moves that leave them, and groups of moves by the blocks they enter.
RefinablePartition equivalent_states(const Dfa& dfa) {
  const Moves moves = moves_of(dfa);
  const std::size_t count = moves.source.size();
  RefinablePartition blocks(dfa.accepting);
  RefinablePartition groups(moves.label);
  std::vector<std::uint32_t> first(index(dfa.size()) + 1, 0);
  for (const std::uint32_t target : moves.target) ++first[target + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<std::uint32_t> entering(count);
  auto fill = first;
  for (std::uint32_t m = 0; m < count; ++m) entering[fill[moves.target[m]]++] = m;

  const auto split_groups_by = [&](std::size_t block) {
    for (const std::uint32_t state : blocks.members(block))
      for (std::uint32_t i = first[state]; i < first[state + 1]; ++i) groups.mark(entering[i]);
    groups.split();
  };
  // Every block but one refines the groups; the last one's complement already has.
  for (std::size_t block = 1; block < blocks.count(); ++block) split_groups_by(block);
  std::size_t settled = blocks.count();
  for (std::size_t group = 0; group < groups.count(); ++group) {
    for (const std::uint32_t m : groups.members(group)) blocks.mark(moves.source[m]);
    blocks.split();
    for (; settled < blocks.count(); ++settled) split_groups_by(settled);
  }
  return blocks;
}

/// Byte classes with equal columns become one.
Dfa with_merged_classes(const Dfa& dfa) {
  const std::size_t classes = index(dfa.classes);
  std::unordered_map<StateSet, std::uint8_t, ConfigurationHash> columns;
  std::vector<std::uint8_t> merged(classes);
  std::vector<std::size_t> kept;
  for (std::size_t c = 0; c < classes; ++c) {
    StateSet column;
    for (std::size_t i = c; i < dfa.next.size(); i += classes) column.push_back(static_cast<NfaState>(dfa.next[i]));
    const auto [entry, added] = columns.try_emplace(std::move(column), static_cast<std::uint8_t>(kept.size()));
    if (added) kept.push_back(c);
    merged[c] = entry->second;
  }
  Dfa result = dfa;
  result.classes = static_cast<int>(kept.size());
  for (auto& c : result.byte_class) c = merged[c];
  result.next.clear();
  for (std::size_t row = 0; row < dfa.next.size(); row += classes)
    for (const std::size_t c : kept) result.next.push_back(dfa.next[row + c]);
  return result;
}

}  // namespace

Dfa minimised(const Dfa& dfa) {
  Dfa part = trimmed(dfa);
  if (part.start == Dfa::dead) return part;
  const RefinablePartition blocks = equivalent_states(part);

  Dfa quotient;
  quotient.classes = part.classes;
  quotient.byte_class = part.byte_class;
  quotient.start = static_cast<std::int32_t>(blocks.set_of(index(part.start)));
  for (std::size_t block = 0; block < blocks.count(); ++block) {
    const std::size_t member = blocks.members(block).front();
    quotient.accepting.push_back(part.accepting[member]);
    for (std::size_t c = 0; c < index(part.classes); ++c) {
      const std::int32_t target = part.next[member * index(part.classes) + c];
      quotient.next.push_back(target == Dfa::dead ? Dfa::dead
                                                  : static_cast<std::int32_t>(blocks.set_of(index(target))));
    }
  }
  return with_merged_classes(trimmed(quotient));
}

Dfa make_dfa(const Nfa& nfa) { return minimised(Determiniser(nfa).run()); }

}  // namespace shoal
