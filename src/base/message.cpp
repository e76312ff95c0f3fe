#include "base/message.hpp"

#include <iostream>

namespace shoal {

void print_message(const std::string& text) { std::cerr << "shoal: " + text + "\n" << std::flush; }

}  // namespace shoal
