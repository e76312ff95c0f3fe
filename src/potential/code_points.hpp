// Sets of Unicode code points, as regex character classes need them, and their encoding as UTF-8 byte ranges.
// Splitting a range at the boundaries where the encoding's last k bytes run full is Thompson's and RE2's method.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shoal {

/// Inclusive at both ends.
struct CodePointRange {
  std::uint32_t first;
  std::uint32_t last;
  auto operator<=>(const CodePointRange&) const = default;
};

/// Sorted, disjoint ranges of Unicode scalar values: surrogates are dropped on entry, since UTF-8 cannot hold them.
class CodePointSet {
 public:
  CodePointSet() = default;
  CodePointSet(std::initializer_list<CodePointRange> ranges);

  void add(CodePointRange range);
  void add(const CodePointSet& other);
  [[nodiscard]] CodePointSet complement() const;
  /// Every code point that equals a member under simple case folding (Kelvin sign = k; dotted and dotless i stay
  /// apart).
  [[nodiscard]] CodePointSet case_folded() const;
  [[nodiscard]] bool contains(std::uint32_t code_point) const;
  [[nodiscard]] std::span<const CodePointRange> ranges() const { return ranges_; }

 private:
  void add_scalar(CodePointRange range);

  std::vector<CodePointRange> ranges_;
};

/// A general category ("L", "Lu", ...), "Any", a script ("Greek", "Han", ...) or a yes-or-no property ("Alphabetic",
/// ...); empty when the name is unknown.
std::optional<CodePointSet> unicode_class(std::string_view name);

struct ByteRange {
  std::uint8_t first;
  std::uint8_t last;
  auto operator<=>(const ByteRange&) const = default;
};

/// All code points whose encoding has its i-th byte in ranges[i], for i < size.
struct ByteSequence {
  std::array<ByteRange, 4> ranges;
  int size;
};

/// The UTF-8 encodings of @p set, in ascending order. Two first ranges (and, below equal first ranges, two second
/// ranges, and so on) are either equal or disjoint.
std::vector<ByteSequence> utf8_sequences(const CodePointSet& set);

/// The code point at the front of @p text and its length in bytes; empty when @p text does not start with valid UTF-8.
struct Decoded {
  std::uint32_t code_point;
  int size;
};
std::optional<Decoded> decode_utf8(std::string_view text);

}  // namespace shoal
