#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.hpp"

#include <pcre2.h>

#include "shoal/error.hpp"
#include "text/onig_syntax.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <class T>
using Owner = std::unique_ptr<T, Free>;

PCRE2_SPTR bytes_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message_of(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

/// Working memory of one search.
struct Search {
  Owner<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
  Owner<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owner<pcre2_jit_stack> stack{pcre2_jit_stack_create(std::size_t{32} << 10U, std::size_t{8} << 20U, nullptr)};

  Search() {
    pcre2_set_match_limit(context.get(), 1'000'000);
    pcre2_set_heap_limit(context.get(), 64 << 10U);  // KiB
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

std::vector<Span> literal_matches(std::string_view text, std::string_view literal) {
  std::vector<Span> all;
  for (std::size_t at = text.find(literal); at != std::string_view::npos; at = text.find(literal, at + literal.size()))
    all.push_back({at, at + literal.size()});
  return all;
}

}  // namespace

struct Pattern::Regex {
  Owner<pcre2_code> code;
};

Pattern Pattern::regex(std::string_view source) {
  const std::string translated = pcre2_syntax_of(source);
  const Owner<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  pcre2_set_parens_nest_limit(context.get(), 50);
  int error = 0;
  PCRE2_SIZE offset = 0;
  constexpr auto options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
  Owner<pcre2_code> code(
      pcre2_compile(bytes_of(translated), translated.size(), options, &error, &offset, context.get()));
  if (!code) throw ModelError("the split pattern '" + std::string(source) + "' does not compile: " + message_of(error));
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  Pattern pattern;
  pattern.regex_ = std::make_shared<const Regex>(Regex{std::move(code)});
  return pattern;
}

Pattern Pattern::literal(std::string text) {
  if (text.empty()) throw ModelError("a pattern to search for is empty");
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

std::vector<Span> Pattern::matches(std::string_view text) const {
  if (text.empty()) return {};
  if (!regex_) return literal_matches(text, literal_);
  const Search search;
  std::vector<Span> all;
  for (std::size_t from = 0; from <= text.size();) {
    const int rc = pcre2_match(regex_->code.get(), bytes_of(text), text.size(), from, PCRE2_NO_UTF_CHECK,
                               search.data.get(), search.context.get());
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) throw UsageError("cannot tokenize the text (" + message_of(rc) + ") shorten or split it");
    const PCRE2_SIZE* found = pcre2_get_ovector_pointer(search.data.get());
    const Span span{found[0], found[1]};
    if (span.empty() && !all.empty() && all.back().end == span.end) {
      from += from < text.size() ? first_character(text.substr(from)).size() : 1;
      continue;
    }
    all.push_back(span);
    from = span.end;
  }
  return all;
}

}  // namespace shoal::text
