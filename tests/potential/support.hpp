// What the tests of potentials share: scores of whole texts, error messages, random vocabularies and masks found by
// trying every token.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shoal/error.hpp"
#include "shoal/potential.hpp"

namespace shoal::test {

constexpr double infinity = std::numeric_limits<double>::infinity();

inline PotentialState state_after(const Potential& potential, std::string_view text) {
  PotentialState state = potential.start();
  potential.advance(state, text);
  return state;
}

inline double log_prefix(const Potential& potential, std::string_view text) {
  return potential.log_prefix(state_after(potential, text));
}

inline double log_complete(const Potential& potential, std::string_view text) {
  return potential.log_complete(state_after(potential, text));
}

/// The line of the UsageError that @p action ends in; empty if it ends well.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

inline void expect_error(const std::function<void()>& action, const std::string& expected) {
  const std::string error = error_of(action);
  EXPECT_NE(error.find(expected), std::string::npos) << "expected: " << expected << "\ngot:      " << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text = "") {
    path_ = testing::TempDir() + "shoal_potential_" + std::to_string(std::random_device{}()) + ".json";
    write(text);
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline TokenId token(std::size_t id) { return TokenId{static_cast<TokenId::value_type>(id)}; }

/// Letters, words, cut characters and bytes that are never valid, as a text or as the pieces of tokens.
inline const std::vector<std::string>& pieces() {
  static const std::vector<std::string> all{"a",
                                            "b",
                                            "A",
                                            "B",
                                            "1",
                                            "2",
                                            " ",
                                            "\n",
                                            ".",
                                            "!",
                                            "?\"",
                                            "the",
                                            " the",
                                            " foo",
                                            "bar",
                                            "FooBar",
                                            "\xc3",
                                            "\xa9",
                                            "\xc3\xa9",
                                            "\xe2",
                                            "\x82\xac",
                                            "\xe2\x82\xac",
                                            "\xf0",
                                            "\x9f\x98",
                                            "\xf0\x9f\x98\x80",
                                            "\xff",
                                            "\xc0",
                                            "\xc3(",
                                            "_",
                                            "as an AI",
                                            "forb",
                                            "idden",
                                            ". ",
                                            "\t",
                                            ")",
                                            "'",
                                            "x",
                                            "ab"};
  return all;
}

inline std::string random_text(std::mt19937& generator, std::size_t most_pieces) {
  std::string text;
  for (std::size_t n = generator() % (most_pieces + 1); n > 0; --n) text += pieces()[generator() % pieces().size()];
  return text;
}

enum class SingleBytes { all, none };

/// Tokens of up to three pieces, some of them twice, some without text; the last two end the text, one of them with
/// bytes of its own.
inline Vocabulary random_vocabulary(std::mt19937& generator, std::size_t size, SingleBytes bytes) {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256 && bytes == SingleBytes::all; ++b) tokens.emplace_back(1, static_cast<char>(b));
  while (tokens.size() < size) tokens.push_back(random_text(generator, 3));
  std::shuffle(tokens.begin(), tokens.end(), generator);
  tokens.emplace_back("the");
  tokens.emplace_back();
  return {tokens, {token(tokens.size() - 2), token(tokens.size() - 1)}};
}

/// The mask that the interface asks for: every token with text is tried on a copy of the state.
inline TokenMask mask_by_trial(const Potential& potential, const PotentialState& state, const Vocabulary& vocabulary) {
  TokenMask mask;
  mask.bits.assign(vocabulary.text_tokens().bits.size(), 0);
  mask.end = potential.log_complete(state) > -infinity;
  for (std::size_t id = 0; id < static_cast<std::size_t>(vocabulary.size()); ++id) {
    if (!vocabulary.text_tokens().test(token(id))) continue;
    PotentialState after = state;
    potential.advance(after, vocabulary.bytes(token(id)));
    if (potential.log_prefix(after) > -infinity) mask.set(token(id));
  }
  return mask;
}

/// What null stands for: nothing is excluded.
inline TokenMask everything(const Vocabulary& vocabulary) {
  TokenMask mask = vocabulary.text_tokens();
  mask.end = true;
  return mask;
}

/// The tokens that one mask holds and the other does not, as text.
inline std::string difference(const TokenMask& found, const TokenMask& expected, const Vocabulary& vocabulary) {
  std::string lines;
  if (found.end != expected.end) lines += found.end ? "+end " : "-end ";
  for (std::size_t id = 0; id < static_cast<std::size_t>(vocabulary.size()); ++id) {
    if (found.test(token(id)) == expected.test(token(id))) continue;
    lines +=
        (found.test(token(id)) ? "+" : "-") + testing::PrintToString(std::string(vocabulary.bytes(token(id)))) + " ";
  }
  return lines;
}

inline void expect_same(const std::shared_ptr<const TokenMask>& found, const std::shared_ptr<const TokenMask>& expected,
                        const Vocabulary& vocabulary) {
  ASSERT_EQ(found == nullptr, expected == nullptr);
  if (found != nullptr) {
    EXPECT_EQ(difference(*found, *expected, vocabulary), "");
  }
}

struct Named {
  std::string name;
  std::function<PotentialPtr()> make;
};

/// One or more of every kind.
inline const std::vector<Named>& all_kinds() {
  const auto regex = [](const char* pattern) { return Named{pattern, [=] { return regex_potential(pattern); }}; };
  const auto length = [](const char* name, int min, int max, LengthUnit unit) {
    return Named{name, [=] { return length_potential(min, max, unit); }};
  };
  static const std::vector<Named> kinds{
      regex(R"(.*[.!?]$)"),
      regex(R"((?s).*)"),
      regex(R"((?i)(?:the|foo|bar|é|€|[ab ])*1?\.?)"),
      regex(R"(\p{L}+(?: \p{L}+)*[.!])"),
      regex(R"((?:\b[a-z]+\b\W*){0,3})"),
      regex(R"([^\x00-\x7f]{2,5}|a{3})"),
      length("3..12 bytes", 3, 12, LengthUnit::bytes),
      length("2..6 characters", 2, 6, LengthUnit::characters),
      length("1..3 words", 1, 3, LengthUnit::words),
      length("1..2 sentences", 1, 2, LengthUnit::sentences),
      length("0..0 words", 0, 0, LengthUnit::words),
      {"required",
       [] {
         return required_elements_potential({"the", "ab", "b1"}, infinity);
       }},
      {"required, soft",
       [] {
         return required_elements_potential({"the", "ab", "€"}, 1.5);
       }},
      {"forbidden",
       [] {
         return forbidden_content_potential({"as an ai", "forbidden", "\xc3\xa9\xc3\xa9", "aa"});
       }},
      {"style", [] { return style_potential(conversational_style()); }},
      {"constraint",
       [] {
         return constraint_potential({regex_potential("(?s)[^1]*"), forbidden_content_potential({"foo", "b a"}),
                                      length_potential(2, 9, LengthUnit::characters)});
       }},
      {"nested constraint",
       [] {
         return constraint_potential(
             {style_potential(formal_style()),
              constraint_potential({required_elements_potential({"the"}, infinity), regex_potential(".*[^2]")})});
       }},
  };
  return kinds;
}

}  // namespace shoal::test
