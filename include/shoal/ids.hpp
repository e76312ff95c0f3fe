// Typed indices. A LogicalId cannot be passed where a Rank is meant.
// Idea: OpaqueId of Celeritas.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace shoal {

template <class Tag, class Int>
class Id {
 public:
  using value_type = Int;

  constexpr Id() = default;
  constexpr explicit Id(Int value) : value_(value) {}

  [[nodiscard]] constexpr Int value() const { return value_; }
  constexpr auto operator<=>(const Id&) const = default;

 private:
  Int value_{};
};

/// A particle's identity, 0..N-1: keys its random numbers, its place in traces and in every sum.
using LogicalId = Id<struct LogicalTag, std::uint32_t>;
/// An MPI process.
using Rank = Id<struct RankTag, std::int32_t>;
/// A row of the model's vocabulary.
using TokenId = Id<struct TokenTag, std::int32_t>;
/// A block of key/value storage for 16 consecutive positions.
using BlockId = Id<struct BlockTag, std::uint32_t>;
/// A node of the context tree: one distinct token sequence.
using ContextId = Id<struct ContextTag, std::uint32_t>;

}  // namespace shoal

template <class Tag, class Int>
struct std::hash<shoal::Id<Tag, Int>> {
  std::size_t operator()(shoal::Id<Tag, Int> id) const noexcept { return std::hash<Int>{}(id.value()); }
};
