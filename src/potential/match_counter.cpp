#include "potential/match_counter.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "shoal/error.hpp"

namespace shoal {
namespace {

constexpr std::size_t most_states = 65'536;
constexpr std::size_t most_cells = 8'000'000;
constexpr std::size_t most_visits = 50'000'000;
constexpr std::size_t most_stored = 10'000'000;
constexpr std::array readable{Neighbour::newline, Neighbour::word, Neighbour::other};

/// A state of the result holds the kernel of the attempts under way (not of the one that begins here: it must not count
/// as an empty match) and, while an assertion looks back, the byte before.
class CounterBuilder {
 public:
  explicit CounterBuilder(const Nfa& nfa) : nfa_(nfa), sets_(nfa), classes_(byte_classes(nfa)) {
    counter_.classes = classes_.count();
    counter_.byte_class = classes_.of;
    targets_.resize(static_cast<std::size_t>(counter_.classes));
    const NfaState start = nfa.start();
    fresh_ = sets_.kernel({&start, 1});
  }

  MatchCounter run() {
    counter_.start = find_or_add({}, Neighbour::text_edge);
    for (std::size_t state = 0; state < configurations_.size(); ++state) expand(state);
    return std::move(counter_);
  }

 private:
  using Configuration = std::pair<StateSet, Neighbour>;

  [[nodiscard]] StateSet with_fresh(const StateSet& kernel) const {
    StateSet all;
    std::set_union(kernel.begin(), kernel.end(), fresh_.begin(), fresh_.end(), std::back_inserter(all));
    return all;
  }

  std::uint16_t find_or_add(StateSet kernel, Neighbour before) {
    const bool looks_back = sets_.has_assertion(kernel) || sets_.has_assertion(fresh_);
    Configuration key{std::move(kernel), looks_back ? before : Neighbour::other};
    const auto [entry, added] = numbers_.try_emplace(std::move(key), static_cast<std::uint32_t>(numbers_.size()));
    if (added) {
      stored_ += entry->first.first.size();
      configurations_.push_back(&entry->first);
      check_size();
    }
    return static_cast<std::uint16_t>(entry->second);
  }

  void check_size() const {
    const bool too_large = configurations_.size() > most_states || stored_ > most_stored ||
                           counter_.next.size() > most_cells || sets_.visits() + visits_ > most_visits;
    if (too_large) throw UsageError(nfa_.size_error());
  }

  bool accepts(const StateSet& kernel, Neighbour before, Neighbour after) {
    return sets_.accepts(sets_.resolve(kernel, before, after));
  }

  /// Whether a match ends here whatever comes next.
  bool accepts_anyhow(const StateSet& kernel, Neighbour before) {
    if (!sets_.has_assertion(kernel)) return sets_.accepts(kernel);
    return accepts(kernel, before, Neighbour::text_edge) &&
           std::all_of(readable.begin(), readable.end(),
                       [&](Neighbour after) { return accepts(kernel, before, after); });
  }

  void expand(std::size_t state) {
    const auto [kernel, before] = *configurations_[state];
    const std::size_t size = counter_.next.size() + targets_.size();
    counter_.next.resize(size);
    counter_.settled.resize(size);
    counter_.ends_at_end.push_back(accepts(kernel, before, Neighbour::text_edge) ? 1 : 0);
    const StateSet all = with_fresh(kernel);
    if (!sets_.has_assertion(all)) {
      for (const Neighbour after : readable) move(state, all, 0, after);
      return;
    }
    for (const Neighbour after : readable) {
      const bool settled = accepts(kernel, before, after);
      move(state, sets_.resolve(settled ? fresh_ : all, before, after), settled ? 1 : 0, after);
    }
    check_size();
  }

  /// Fills in the moves of one state on the bytes that are @p read.
  void move(std::size_t state, const StateSet& from, std::uint8_t settled, Neighbour read) {
    collect_targets(from);
    for (std::size_t c = 0; c < targets_.size(); ++c) {
      if (neighbour_of(classes_.representative[c]) != read) continue;
      StateSet kernel = sets_.kernel(targets_[c]);
      const bool match = accepts_anyhow(kernel, read);
      if (match) kernel.clear();
      const std::uint16_t target = find_or_add(std::move(kernel), read);
      counter_.next[state * targets_.size() + c] = target;
      counter_.settled[state * targets_.size() + c] = static_cast<std::uint8_t>(settled + (match ? 1 : 0));
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
  StateSet fresh_;  ///< the kernel of an attempt that begins here
  MatchCounter counter_;
  std::map<Configuration, std::uint32_t> numbers_;
  std::vector<const Configuration*> configurations_;  ///< by state; the map's keys do not move
  std::vector<StateSet> targets_;                     ///< scratch, by byte class
  std::size_t stored_ = 0;
  std::size_t visits_ = 0;
};

}  // namespace

bool MatchCounter::can_match() const {
  const auto positive = [](std::uint8_t n) { return n > 0; };
  return std::any_of(settled.begin(), settled.end(), positive) ||
         std::any_of(ends_at_end.begin(), ends_at_end.end(), positive);
}

MatchCounter make_match_counter(const Nfa& nfa) { return CounterBuilder(nfa).run(); }

}  // namespace shoal
