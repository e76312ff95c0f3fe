// Bounds on the length of a text. A unit counts from its first byte on, so that the count never falls as text is added.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "potential/mask_cache.hpp"
#include "potential/state_bytes.hpp"
#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

/// Where the text is with regard to words and sentences; the other units stay between.
enum class Place : std::uint32_t { between, inside, after_stop };

struct Measure {
  Place place;
  std::uint32_t count;
};

bool is_space(std::uint8_t b) { return b == ' ' || (b >= '\t' && b <= '\r'); }
bool is_stop(std::uint8_t b) { return b == '.' || b == '!' || b == '?'; }
/// Closing quotes and brackets; a byte of a character beyond ASCII is taken for one.
bool is_closer(std::uint8_t b) { return b == '"' || b == '\'' || b == ')' || b == ']' || b == '*' || b >= 0x80; }

Place word_place(std::uint8_t byte) { return is_space(byte) ? Place::between : Place::inside; }

/// A sentence ends with . ! or ?, perhaps closing quotes or brackets, and white space.
Place sentence_place(Place before, std::uint8_t byte) {
  if (is_space(byte)) return before == Place::after_stop ? Place::between : before;
  if (is_stop(byte)) return Place::after_stop;
  return before == Place::after_stop && is_closer(byte) ? Place::after_stop : Place::inside;
}

Measure after_byte(Measure m, std::uint8_t byte, LengthUnit unit) {
  switch (unit) {
    case LengthUnit::bytes:
      return {m.place, m.count + 1};
    case LengthUnit::characters:
      return {m.place, m.count + ((byte & 0xc0) == 0x80 ? 0U : 1U)};
    case LengthUnit::words:
    case LengthUnit::sentences:
      break;
  }
  const Place place = unit == LengthUnit::words ? word_place(byte) : sentence_place(m.place, byte);
  const bool begins = m.place == Place::between && place != Place::between;
  return {place, m.count + (begins ? 1U : 0U)};
}

class Length final : public Potential {
 public:
  Length(std::uint32_t min, std::uint32_t max, LengthUnit unit, std::string name)
      : min_(min), max_(max), unit_(unit), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  PotentialState start() const override { return to_state(Measure{Place::between, 0}); }

  /// The count stops at max + 1: more cannot make it worse.
  void advance(PotentialState& state, std::string_view bytes) const override {
    Measure m = measure(state);
    for (std::size_t i = 0; i < bytes.size() && m.count <= max_; ++i)
      m = after_byte(m, static_cast<std::uint8_t>(bytes[i]), unit_);
    store(m, &state);
  }

  double log_prefix(const PotentialState& state) const override {
    return measure(state).count > max_ ? minus_infinity : 0.0;
  }

  double log_complete(const PotentialState& state) const override {
    const auto count = measure(state).count;
    return count < min_ || count > max_ ? minus_infinity : 0.0;
  }

  std::shared_ptr<const TokenMask> allowed(const PotentialState& state, const Vocabulary& vocabulary) const override {
    const Measure m = measure(state);
    const bool may_end = m.count >= min_ && m.count <= max_;
    const std::uint32_t longest = *longest_token_.get(vocabulary, [&] { return longest_token(vocabulary); });
    if (m.count <= max_ && max_ - m.count >= longest) return may_end ? nullptr : no_end(vocabulary);
    const std::uint64_t room = m.count > max_ ? 0 : max_ - m.count + 1;
    const std::uint64_t key = room << 3U | static_cast<std::uint64_t>(m.place) << 1U | (may_end ? 1U : 0U);
    return masks_.get(vocabulary, key, [&] { return mask_after(m, may_end, vocabulary); });
  }

 private:
  [[nodiscard]] Measure measure(const PotentialState& state) const {
    expect_state(state.size() == sizeof(Measure), name_);
    const auto m = from_state<Measure>(state);
    expect_state(m.place <= Place::after_stop && m.count <= max_ + 1, name_);
    return m;
  }

  static std::uint32_t longest_token(const Vocabulary& vocabulary) {
    std::size_t longest = 0;
    for (int i = 0; i < vocabulary.size(); ++i)
      longest = std::max(longest, vocabulary.bytes(TokenId(static_cast<TokenId::value_type>(i))).size());
    return static_cast<std::uint32_t>(longest);
  }

  std::shared_ptr<const TokenMask> no_end(const Vocabulary& vocabulary) const {
    return no_end_.get(vocabulary, [&] {
      TokenMask mask = vocabulary.text_tokens();
      mask.end = false;
      return mask;
    });
  }

  [[nodiscard]] TokenMask mask_after(Measure m, bool may_end, const Vocabulary& vocabulary) const {
    TokenMask mask = empty_mask(vocabulary);
    mask.end = may_end;
    if (m.count > max_) return mask;
    const auto step = [this](Measure from, std::uint8_t byte, Measure* to) {
      *to = after_byte(from, byte, unit_);
      return to->count <= max_;
    };
    walk_tokens(vocabulary.trie(), m, step, [&](std::span<const TokenId> tokens, Measure) {
      for (const TokenId token : tokens) mask.set(token);
      return true;
    });
    return mask;
  }

  std::uint32_t min_;
  std::uint32_t max_;
  LengthUnit unit_;
  std::string name_;
  mutable PerVocabulary<std::uint32_t> longest_token_;  ///< caches: synchronised inside
  mutable PerVocabulary<TokenMask> no_end_;
  mutable MaskCache masks_;
};

}  // namespace

PotentialPtr length_potential(int min, int max, LengthUnit unit, std::string name) {
  if (min < 0) throw UsageError("bad length min " + std::to_string(min) + " (negative) give 0 or more");
  if (max < min)
    throw UsageError("bad length max " + std::to_string(max) + " (less than min " + std::to_string(min) +
                     ") give min or more");
  return std::make_shared<Length>(static_cast<std::uint32_t>(min), static_cast<std::uint32_t>(max), unit,
                                  std::move(name));
}

}  // namespace shoal
