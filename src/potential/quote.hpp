// Puts a user's text into a one-line error message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shoal {

/// @p text between single quotes; control bytes and bytes that are not UTF-8 as \xHH; cut after about @p longest bytes.
std::string quote(std::string_view text, std::size_t longest = 60);

/// The same for the name of a file, which is not cut.
std::string quote_path(std::string_view path);

}  // namespace shoal
