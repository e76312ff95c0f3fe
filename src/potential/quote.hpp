// Puts a user's text into a one-line error message.
#pragma once

#include <string>
#include <string_view>

namespace shoal {

/// @p text between single quotes; control bytes and bytes that are not UTF-8 as \xHH; cut after about 60 bytes.
std::string quote(std::string_view text);

}  // namespace shoal
