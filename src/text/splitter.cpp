#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/splitter.hpp"

#include <pcre2.h>

#include "shoal/error.hpp"

namespace shoal::text {
namespace {

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};

PCRE2_SPTR bytes_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message_of(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct PatternSplitter::Code {
  std::unique_ptr<pcre2_code, Free> compiled;
};

PatternSplitter::PatternSplitter(const std::string& pattern, MatchRule rule) : rule_(rule) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(bytes_of(pattern), pattern.size(), PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  if (code == nullptr)
    throw ModelError("cannot load the tokenizer (split pattern: " + message_of(error) + " at position " +
                     std::to_string(offset + 1) + ") check tokenizer.json");
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  auto owner = std::make_shared<Code>();
  owner->compiled.reset(code);
  code_ = std::move(owner);
}

std::vector<std::string> PatternSplitter::split(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, Free> match(pcre2_match_data_create(1, nullptr));
  std::vector<std::string> pieces;
  const auto add = [&](std::size_t begin, std::size_t end) {
    if (begin < end) pieces.emplace_back(text.substr(begin, end - begin));
  };
  std::size_t done = 0;
  for (std::size_t from = 0; from < text.size();) {
    const int rc =
        pcre2_match(code_->compiled.get(), bytes_of(text), text.size(), from, PCRE2_NOTEMPTY, match.get(), nullptr);
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) throw UsageError("cannot tokenize the text (" + message_of(rc) + ") shorten or split it");
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match.get());
    add(done, span[0]);
    if (rule_ == MatchRule::isolated) add(span[0], span[1]);
    done = from = span[1];
  }
  add(done, text.size());
  return pieces;
}

std::string quoted_pattern(std::string_view literal) {
  std::string pattern;
  for (const char c : literal) {
    const bool plain = (c & 0x80) != 0 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace shoal::text
