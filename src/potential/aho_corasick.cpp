#include "potential/aho_corasick.hpp"

#include <algorithm>
#include <deque>

#include "base/assert.hpp"
#include "shoal/error.hpp"

namespace shoal {
namespace {

constexpr std::int32_t none = -1;
constexpr std::size_t most_moves = 20'000'000;

std::uint8_t folded(std::uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<std::uint8_t>(byte + ('a' - 'A')) : byte;
}

}  // namespace

AhoCorasick::AhoCorasick(std::span<const std::string> strings) {
  choose_classes(strings);
  add_state();
  for (std::size_t i = 0; i < strings.size(); ++i) add_string(strings[i], static_cast<std::uint32_t>(i));
  fold_failures();
}

/// The bytes that occur in no string, if there are any, are one class.
void AhoCorasick::choose_classes(std::span<const std::string> strings) {
  std::array<bool, 256> used{};
  for (const std::string& string : strings)
    for (const char c : string) used[folded(static_cast<std::uint8_t>(c))] = true;
  const auto is_folded = [](std::size_t b) { return folded(static_cast<std::uint8_t>(b)) == b; };
  bool any_unused = false;
  for (std::size_t b = 0; b < 256; ++b) any_unused = any_unused || (is_folded(b) && !used[b]);
  classes_ = any_unused ? 1 : 0;
  for (std::size_t b = 0; b < 256; ++b)
    if (used[b]) byte_class_[b] = static_cast<std::uint8_t>(classes_++);
  for (std::size_t b = 0; b < 256; ++b) byte_class_[b] = byte_class_[folded(static_cast<std::uint8_t>(b))];
}

std::int32_t& AhoCorasick::move(std::int32_t state, std::uint8_t byte) {
  return next_[static_cast<std::size_t>(state) * static_cast<std::size_t>(classes_) + byte_class_[byte]];
}

std::int32_t AhoCorasick::add_state() {
  if (next_.size() >= most_moves)
    throw UsageError("too many strings to look for (their automaton has more moves than the limit) give fewer of them");
  next_.resize(next_.size() + static_cast<std::size_t>(classes_), none);
  found_.emplace_back();
  return static_cast<std::int32_t>(found_.size() - 1);
}

void AhoCorasick::add_string(const std::string& string, std::uint32_t number) {
  SHOAL_EXPECT(!string.empty());
  std::int32_t at = start;
  for (const char c : string) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (move(at, byte) == none) {
      const std::int32_t added = add_state();
      move(at, byte) = added;
    }
    at = move(at, byte);
  }
  found_[static_cast<std::size_t>(at)].push_back(number);
}

void AhoCorasick::fold_failures() {
  const auto classes = static_cast<std::size_t>(classes_);
  std::vector<std::int32_t> failure(found_.size(), start);
  std::deque<std::int32_t> pending{start};
  while (!pending.empty()) {
    const auto at = static_cast<std::size_t>(pending.front());
    pending.pop_front();
    for (std::size_t c = 0; c < classes; ++c) {
      std::int32_t& target = next_[at * classes + c];
      const bool at_start = at == static_cast<std::size_t>(start);
      const std::int32_t fallback = at_start ? start : next_[static_cast<std::size_t>(failure[at]) * classes + c];
      if (target == none) {
        target = fallback;
        continue;
      }
      failure[static_cast<std::size_t>(target)] = fallback;
      const auto& inherited = found_[static_cast<std::size_t>(fallback)];
      auto& own = found_[static_cast<std::size_t>(target)];
      own.insert(own.end(), inherited.begin(), inherited.end());
      pending.push_back(target);
    }
  }
}

}  // namespace shoal
