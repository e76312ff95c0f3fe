// Potential: a non-negative score of a text, fed byte by byte, with a prefix and a complete form.
// The target multiplies the model by prefix while a text is unfinished and by complete once it is finished; only ratios
// between successive values enter the weights (telescoping twists; Whiteley & Lee 2014, Lew et al. 2023).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/vocabulary.hpp"

namespace shoal {

/// A potential's memory of the text so far. A plain byte string, so that a particle can migrate.
using PotentialState = std::string;

/// Cheap potentials are evaluated after every token, expensive ones once per token batch.
enum class Cost { cheap, expensive };

/// Invariant: log_prefix = -inf implies that log_complete and every extension's log_prefix are -inf.
/// All members are const and safe to call from several threads.
class Potential {
 public:
  virtual ~Potential() = default;

  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual PotentialState start() const = 0;
  virtual void advance(PotentialState& state, std::string_view bytes) const = 0;
  /// Natural logarithm, in [-inf, inf), never NaN.
  [[nodiscard]] virtual double log_prefix(const PotentialState& state) const = 0;
  [[nodiscard]] virtual double log_complete(const PotentialState& state) const = 0;
  /// Exact set of tokens with text that keep log_prefix above -inf, and whether log_complete is; null when nothing is
  /// excluded or the potential cannot tell. Where the vocabulary lacks some of the bytes that a text needs, tokens
  /// after which none of its token sequences can still be complete may be excluded too.
  [[nodiscard]] virtual std::shared_ptr<const TokenMask> allowed(const PotentialState& /*state*/,
                                                                 const Vocabulary& /*vocabulary*/) const {
    return nullptr;
  }
  [[nodiscard]] virtual Cost cost() const { return Cost::cheap; }
};

using PotentialPtr = std::shared_ptr<const Potential>;

/// One weighted pattern of a style: each match of @p pattern (RE2-like syntax, case-insensitive unless (?-i)) adds
/// @p log_weight, for at most @p max_count matches. A match counts as soon as it can end (so \d+ counts digits, \d+\b
/// numbers), the next one begins after it; patterns do not see each other's matches.
struct StylePattern {
  std::string pattern;
  double log_weight = 0.0;
  int max_count = 3;
};

struct Style {
  std::string name;
  std::vector<StylePattern> patterns;
};

Style conversational_style();
Style formal_style();
Style technical_style();
Style creative_style();
/// A built-in name or a JSON file {"name": ..., "patterns": [{"pattern": ..., "log_weight": ..., "max_count": ...}]}.
/// @throws UsageError
Style load_style(const std::string& name_or_file);

/// 1 where the whole text matches @p pattern, else 0; prefix = "can still match". A trailing $ and leading ^ are
/// allowed.
/// @throws UsageError pointing at the position of a syntax error, look-around or back-reference
PotentialPtr regex_potential(std::string_view pattern, std::string name = "regex");
PotentialPtr style_potential(Style style, std::string name = "style");
/// Complete: 1 if min <= length <= max in @p unit, else 0. Prefix: 0 only beyond max.
/// Characters are UTF-8 code points. Words are separated by white space (ASCII). Sentences end with . ! or ?, perhaps
/// closing quotes or brackets, and white space. A unit counts from its first byte on.
enum class LengthUnit { bytes, characters, words, sentences };
PotentialPtr length_potential(int min, int max, LengthUnit unit, std::string name = "length");
/// Complete: each missing element multiplies by exp(-penalty); penalty = inf requires them all. Case-insensitive
/// (ASCII).
PotentialPtr required_elements_potential(std::vector<std::string> elements, double penalty,
                                         std::string name = "required");
/// 0 as soon as one of the strings occurs (case-insensitive, ASCII).
PotentialPtr forbidden_content_potential(std::vector<std::string> strings, std::string name = "forbidden");
/// Minimum of several potentials, in both forms.
PotentialPtr constraint_potential(std::vector<PotentialPtr> parts, std::string name = "constraint");

/// Feeds @p samples byte by byte and reports the first breach of the invariant, NaN, +inf, or a score that depends on
/// how the text is cut into tokens; empty when none is found.
std::string self_check(const Potential& potential, std::span<const std::string> samples);

}  // namespace shoal
