// PCRE2 as an independent judge of what a pattern matches.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace shoal {

class Pcre2Oracle {
 public:
  explicit Pcre2Oracle(std::string pattern, std::uint32_t options = 0)
      : pattern_(std::move(pattern)),
        options_(options),
        code_(compile(pattern_)),
        match_(pcre2_match_data_create(1, nullptr)) {}

  /// Whether the whole of @p text matches; empty when PCRE2 gives up.
  std::optional<bool> matches_all(const std::string& text) {
    const int rc = pcre2_match(code_.get(), bytes(text), text.size(), 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED,
                               match_.get(), nullptr);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) return std::nullopt;
    return rc >= 0;
  }

  /// Whether the bytes from @p start to @p end match, given what lies around them. (pcre2_dfa_match would list all ends
  /// at once, but overlooks some at (?m:$).)
  bool matches_between(const std::string& text, std::size_t start, std::size_t end) {
    if (is_inside_character(text, start) || is_inside_character(text, end)) return false;
    const auto rest = std::count_if(text.begin() + static_cast<std::ptrdiff_t>(end), text.end(), begins_character);
    Code& code = with_rest_[rest];
    if (!code) code = compile("(?:" + pattern_ + ")(?=(?s:.{" + std::to_string(rest) + "})\\z)");
    const int rc = pcre2_match(code.get(), bytes(text), text.size(), start, PCRE2_ANCHORED, match_.get(), nullptr);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) throw std::runtime_error("PCRE2 error " + std::to_string(rc));
    return rc >= 0;
  }

 private:
  struct Free {
    void operator()(pcre2_code* p) const { pcre2_code_free(p); }
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
    void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  };
  using Code = std::unique_ptr<pcre2_code, Free>;

  static PCRE2_SPTR bytes(const std::string& s) { return reinterpret_cast<PCRE2_SPTR>(s.data()); }
  static bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }
  static bool is_inside_character(const std::string& text, std::size_t at) {
    return at < text.size() && !begins_character(text[at]);
  }

  [[nodiscard]] Code compile(const std::string& pattern) const {
    const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    constexpr std::uint32_t base =
        PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX | PCRE2_NO_AUTO_POSSESS | PCRE2_NO_START_OPTIMIZE;
    int error = 0;
    PCRE2_SIZE offset = 0;
    Code code(pcre2_compile(bytes(pattern), pattern.size(), base | options_, &error, &offset, context.get()));
    if (!code) throw std::runtime_error("PCRE2 refuses " + pattern + " at " + std::to_string(offset));
    return code;
  }

  std::string pattern_;
  std::uint32_t options_;
  Code code_;
  std::map<std::ptrdiff_t, Code> with_rest_;  ///< by the number of characters after the match
  std::unique_ptr<pcre2_match_data, Free> match_;
};

}  // namespace shoal
