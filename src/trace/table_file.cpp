#include "trace/table_file.hpp"

#include <algorithm>
#include <array>

#include "shoal/error.hpp"
#include "trace/hdf5_objects.hpp"
#include "trace/partial_file.hpp"
#include "trace/trace_file.hpp"
#include "trace/writable_file.hpp"

namespace shoal::trace {
namespace {

constexpr int table_version = 1;

hdf5::Dataset create_column(hid_t where, const char* name, const std::vector<std::string>& texts) {
  return create_texts(where, name, texts);
}
template <class T>
hdf5::Dataset create_column(hid_t where, const char* name, const std::vector<T>& values) {
  return create_fixed(where, name, values);
}

void write_columns(hid_t root, const std::string& group_name, const std::string& entry_meaning,
                   const std::vector<TableColumn>& columns) {
  const hdf5::Group group = create_group(root, group_name.c_str());
  const std::size_t rows =
      columns.empty() ? 0 : std::visit([](const auto& values) { return values.size(); }, columns.front().values);
  const hdf5::Dataset scale =
      create_scale(group.get(), group_name.c_str(), static_cast<std::int64_t>(rows), entry_meaning.c_str());
  const std::array dimensions{Dimension{group_name.c_str(), scale.get()}};
  for (const TableColumn& column : columns) {
    std::string name = column.name;
    std::replace(name.begin(), name.end(), '/', '_');
    const hdf5::Dataset dataset =
        std::visit([&](const auto& values) { return create_column(group.get(), name.c_str(), values); }, column.values);
    describe(dataset.get(), {"", column.units.c_str(), column.meaning.c_str()});
    attach(dataset.get(), dimensions);
  }
}

[[noreturn]] void refuse(const std::string& path, const std::string& why, const std::string& what_to_do) {
  throw IoError("cannot write the table " + path + " (" + why + ") " + what_to_do);
}

}  // namespace

void check_table_target(const std::string& path, const std::string& format) {
  const hdf5::Quiet quiet;
  check_target(
      link_target(path), format + " table", [&](const std::string& file) { return has_format(file, format); },
      [&](const std::string& why, const std::string& what_to_do) { refuse(path, why, what_to_do); });
}

void write_table(const std::string& path, const std::string& format, const std::string& group,
                 const std::string& entry_meaning, const std::vector<TableColumn>& columns,
                 const std::vector<std::pair<std::string, std::string>>& attributes) {
  const hdf5::Quiet quiet;
  check_table_target(path, format);
  try {
    PartialFile partial(link_target(path));
    auto file = hdf5::WritableFile::create(partial.path());
    write_fixed_text_attribute(file.get(), "format", format);
    write_attribute(file.get(), "format_version", table_version);
    for (const auto& [name, text] : attributes) write_text_attribute(file.get(), name.c_str(), text);
    write_columns(file.get(), group, entry_meaning, columns);
    file.close();
    partial.sync_to_disk();
    partial.place();
  } catch (const hdf5::Failure& failure) {
    refuse(path, failure.what(), "free some space or choose another name");
  }
}

}  // namespace shoal::trace
