// One line for the user on standard error. In one write, so that it stays one line beside what a launcher and other
// processes write.
#pragma once

#include <string>

namespace shoal {

/// "shoal: TEXT"
void print_message(const std::string& text);
/// "shoal: error: TEXT"
inline void print_error(const std::string& text) { print_message("error: " + text); }

}  // namespace shoal
