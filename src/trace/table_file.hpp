// A table as an HDF5 file that h5py and xarray read without help: one dataset per column.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace shoal::trace {

struct TableColumn {
  std::string name;  ///< '/' becomes '_'
  std::string units;
  std::string meaning;
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<std::string>>
      values;
};

/// So that a long computation does not end in a table that cannot be written.
/// @throws IoError if @p path cannot be written, or is something else than a table of this @p format
void check_table_target(const std::string& path, const std::string& format);

/// Writes the group @p group with all columns, which have equal lengths, and the dimension scale @p group in it; puts
/// the file in place in one step. Replaces an earlier table of the same @p format, nothing else.
/// @param attributes of the file
/// @throws IoError, leaving what was there untouched
void write_table(const std::string& path, const std::string& format, const std::string& group,
                 const std::string& entry_meaning, const std::vector<TableColumn>& columns,
                 const std::vector<std::pair<std::string, std::string>>& attributes);

}  // namespace shoal::trace
