#include "potential/regex_nfa.hpp"

#include <algorithm>
#include <bitset>
#include <map>
#include <utility>

#include "shoal/error.hpp"

namespace shoal {
namespace {

constexpr std::size_t most_states = 100'000;
constexpr std::size_t most_steps = 1'000'000;
constexpr std::size_t most_transitions = 2'000'000;

bool is_word_byte(std::uint8_t b) {
  return (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || b == '_';
}

}  // namespace

Neighbour neighbour_of(std::uint8_t byte) {
  if (byte == '\n') return Neighbour::newline;
  return is_word_byte(byte) ? Neighbour::word : Neighbour::other;
}

bool holds(Assertion assertion, Neighbour before, Neighbour after) {
  const bool edge_of_word = (before == Neighbour::word) != (after == Neighbour::word);
  switch (assertion) {
    case Assertion::text_begin:
      return before == Neighbour::text_edge;
    case Assertion::text_end:
      return after == Neighbour::text_edge;
    case Assertion::line_begin:
      return before == Neighbour::text_edge || before == Neighbour::newline;
    case Assertion::line_end:
      return after == Neighbour::text_edge || after == Neighbour::newline;
    case Assertion::word_boundary:
      return edge_of_word;
    case Assertion::no_word_boundary:
      return !edge_of_word;
  }
  return false;
}

/// Builds from the end of the pattern to its start: each node is compiled in front of the state that follows it.
class NfaBuilder {
 public:
  NfaBuilder(Nfa* nfa, const std::string& size_error) : nfa_(nfa), size_error_(size_error) {}

  void build(const RegexNode& root) {
    const NfaState accept = add(Nfa::Kind::accept, {}, {});
    nfa_->start_ = compile(root, accept);
  }

 private:
  NfaState add(Nfa::Kind kind, std::vector<Nfa::Transition> transitions, std::vector<NfaState> successors) {
    transitions_ += transitions.size();
    if (nfa_->states_.size() >= most_states || transitions_ > most_transitions) throw UsageError(size_error_);
    nfa_->states_.push_back({kind, Assertion::text_begin, std::move(transitions), std::move(successors)});
    return static_cast<NfaState>(nfa_->states_.size() - 1);
  }

  NfaState compile(const RegexNode& node, NfaState next) {
    if (++steps_ > most_steps) throw UsageError(size_error_);
    switch (node.kind) {
      case RegexNode::Kind::empty:
        return next;
      case RegexNode::Kind::set:
        return compile_set(node.set, next);
      case RegexNode::Kind::repeat:
        return compile_repeat(node, next);
      case RegexNode::Kind::concat:
        for (auto child = node.children.rbegin(); child != node.children.rend(); ++child) next = compile(*child, next);
        return next;
      case RegexNode::Kind::alternate: {
        std::vector<NfaState> branches;
        for (const auto& child : node.children) branches.push_back(compile(child, next));
        return add(Nfa::Kind::split, {}, std::move(branches));
      }
      case RegexNode::Kind::assertion: {
        const NfaState state = add(Nfa::Kind::assertion, {}, {next});
        nfa_->states_[state].assertion = node.assertion;
        nfa_->has_assertions_ = true;
        return state;
      }
    }
    return next;
  }

  NfaState compile_repeat(const RegexNode& node, NfaState next) {
    const RegexNode& body = node.children.front();
    if (node.max == RegexNode::unbounded) {
      const NfaState loop = add(Nfa::Kind::split, {}, {next});
      const NfaState once = compile(body, loop);
      nfa_->states_[loop].successors.push_back(once);
      next = loop;
    }
    const NfaState end = next;
    for (int i = node.min; i < node.max; ++i) {
      const NfaState once = compile(body, next);
      next = add(Nfa::Kind::split, {}, {once, end});
    }
    for (int i = 0; i < node.min; ++i) next = compile(body, next);
    return next;
  }

  NfaState compile_set(const CodePointSet& set, NfaState next) {
    const auto sequences = utf8_sequences(set);
    std::map<std::vector<Nfa::Transition>, NfaState> known;
    return compile_sequences(sequences, 0, next, &known);
  }

  /// A state that reads bytes @p depth and on of the @p sequences; equal states are shared.
  NfaState compile_sequences(std::span<const ByteSequence> sequences, int depth, NfaState next,
                             std::map<std::vector<Nfa::Transition>, NfaState>* known) {
    const auto at = static_cast<std::size_t>(depth);
    std::vector<Nfa::Transition> transitions;
    while (!sequences.empty()) {
      const ByteRange range = sequences.front().ranges[at];
      std::size_t group = 1;
      while (group < sequences.size() && sequences[group].ranges[at] == range) ++group;
      const bool last = sequences.front().size == depth + 1;
      const NfaState target = last ? next : compile_sequences(sequences.first(group), depth + 1, next, known);
      const bool extends =
          !transitions.empty() && transitions.back().target == target && transitions.back().last + 1 == range.first;
      if (extends) {
        transitions.back().last = range.last;
      } else {
        transitions.push_back({range.first, range.last, target});
      }
      sequences = sequences.subspan(group);
    }
    const auto found = known->find(transitions);
    if (found != known->end()) return found->second;
    const NfaState state = add(Nfa::Kind::bytes, transitions, {});
    known->emplace(std::move(transitions), state);
    return state;
  }

  Nfa* nfa_;
  const std::string& size_error_;
  std::size_t steps_ = 0;
  std::size_t transitions_ = 0;
};

Nfa::Nfa(const ParsedRegex& regex) : size_error_(regex.size_error) { NfaBuilder(this, size_error_).build(regex.root); }

ByteClasses byte_classes(const Nfa& nfa, std::span<const std::uint8_t> extra_boundaries) {
  std::bitset<257> begins;
  begins.set(0);
  for (const std::uint8_t b : extra_boundaries) begins.set(b);
  for (NfaState state = 0; state < nfa.size(); ++state) {
    for (const auto& t : nfa.transitions(state)) {
      begins.set(t.first);
      begins.set(t.last + 1U);
    }
  }
  if (nfa.has_assertions()) {
    for (std::size_t b = 1; b < 256; ++b)
      if (neighbour_of(static_cast<std::uint8_t>(b)) != neighbour_of(static_cast<std::uint8_t>(b - 1))) begins.set(b);
  }
  ByteClasses classes;
  for (std::size_t b = 0; b < 256; ++b) {
    if (begins.test(b)) classes.representative.push_back(static_cast<std::uint8_t>(b));
    classes.of[b] = static_cast<std::uint8_t>(classes.representative.size() - 1);
  }
  return classes;
}

/// Depth-first over splits and over the assertions that @p cross says hold.
template <class Cross>
StateSet NfaSets::close(std::span<const NfaState> states, const Cross& cross) {
  ++generation_;
  StateSet pending(states.begin(), states.end());
  StateSet closed;
  while (!pending.empty()) {
    const NfaState state = pending.back();
    pending.pop_back();
    ++visits_;
    if (std::exchange(seen_[state], generation_) == generation_) continue;
    const Nfa::Kind kind = nfa_->kind(state);
    const bool through = kind == Nfa::Kind::split || (kind == Nfa::Kind::assertion && cross(nfa_->assertion(state)));
    if (through) {
      const auto next = nfa_->successors(state);
      pending.insert(pending.end(), next.begin(), next.end());
    } else {
      closed.push_back(state);
    }
  }
  std::sort(closed.begin(), closed.end());
  return closed;
}

StateSet NfaSets::kernel(std::span<const NfaState> states) {
  return close(states, [](Assertion) { return false; });
}

StateSet NfaSets::resolve(const StateSet& kernel, Neighbour before, Neighbour after) {
  StateSet resolved = close(kernel, [&](Assertion assertion) { return holds(assertion, before, after); });
  std::erase_if(resolved, [&](NfaState state) { return nfa_->kind(state) == Nfa::Kind::assertion; });
  return resolved;
}

bool NfaSets::accepts(const StateSet& resolved) const {
  return std::any_of(resolved.begin(), resolved.end(),
                     [&](NfaState state) { return nfa_->kind(state) == Nfa::Kind::accept; });
}

bool NfaSets::has_assertion(const StateSet& kernel) const {
  if (!nfa_->has_assertions()) return false;
  return std::any_of(kernel.begin(), kernel.end(),
                     [&](NfaState state) { return nfa_->kind(state) == Nfa::Kind::assertion; });
}

}  // namespace shoal
