// Writes a text file so that it is there whole or not at all. Internal to src/trace and the report.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

namespace shoal::trace {

/// Calls @p write, then puts what it wrote at @p path in one step; a device or pipe is written directly. An HDF5 file
/// of that name is refused.
/// @param what what it is, for messages
/// @throws IoError, leaving what was there untouched
void replace_file(const std::string& what, const std::string& path, const std::function<void(std::ostream&)>& write);

}  // namespace shoal::trace
