// Regular expressions in Oniguruma's syntax, rewritten for PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace shoal::text {

/// Spells out white space, letters and numbers where PCRE2's tables differ from Hugging Face's.
/// @throws ModelError naming a construct that the two engines read differently
std::string pcre2_syntax_of(std::string_view onig);

}  // namespace shoal::text
