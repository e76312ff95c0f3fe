// PCRE2 as an independent judge of which texts a pattern matches and where its matches end.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

namespace shoal {

class Pcre2Oracle {
 public:
  explicit Pcre2Oracle(const std::string& pattern, std::uint32_t options = 0) {
    const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    constexpr std::uint32_t base =
        PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX | PCRE2_NO_AUTO_POSSESS | PCRE2_NO_START_OPTIMIZE;
    code_.reset(pcre2_compile(bytes(pattern), pattern.size(), base | options, &error, &offset, context.get()));
    if (!code_) throw std::runtime_error("PCRE2 refuses " + pattern + " at " + std::to_string(offset));
    match_.reset(pcre2_match_data_create(1000, nullptr));
  }

  /// Whether the whole of @p text matches; empty when PCRE2 gives up.
  std::optional<bool> matches_all(const std::string& text) {
    const int rc = pcre2_match(code_.get(), bytes(text), text.size(), 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED,
                               match_.get(), nullptr);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) return std::nullopt;
    return rc >= 0;
  }

  /// Ends of all the matches in @p text that begin at @p start.
  std::set<std::size_t> ends(const std::string& text, std::size_t start) {
    std::array<int, 2000> workspace{};
    const int rc = pcre2_dfa_match(code_.get(), bytes(text), text.size(), start, PCRE2_ANCHORED, match_.get(), nullptr,
                                   workspace.data(), workspace.size());
    if (rc == PCRE2_ERROR_NOMATCH) return {};
    if (rc <= 0) throw std::runtime_error("PCRE2 error " + std::to_string(rc));
    std::set<std::size_t> found;
    const PCRE2_SIZE* spans = pcre2_get_ovector_pointer(match_.get());
    for (int i = 0; i < rc; ++i) found.insert(spans[2 * i + 1]);
    return found;
  }

  /// Number of matches that a left-to-right search finds; none of them may be empty.
  int count(const std::string& text) {
    int found = 0;
    for (PCRE2_SIZE at = 0;; at = pcre2_get_ovector_pointer(match_.get())[1], ++found) {
      if (pcre2_match(code_.get(), bytes(text), text.size(), at, 0, match_.get(), nullptr) < 0) return found;
    }
  }

 private:
  struct Free {
    void operator()(pcre2_code* p) const { pcre2_code_free(p); }
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
    void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  };
  static PCRE2_SPTR bytes(const std::string& s) { return reinterpret_cast<PCRE2_SPTR>(s.data()); }

  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_data, Free> match_;
};

}  // namespace shoal
