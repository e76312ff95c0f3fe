#include "trace/hdf5_objects.hpp"

namespace shoal::trace {

void write_fixed_text_attribute(hid_t object, const char* name, std::string_view text) {
  const std::string data(text.empty() ? std::string(1, '\0') : std::string(text));
  const hdf5::Datatype type = hdf5::string_type(data.size());
  const hdf5::Dataspace space(H5Screate(H5S_SCALAR));
  const hdf5::Attribute attribute(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  hdf5::check(H5Awrite(attribute.get(), type.get(), data.data()));
}

}  // namespace shoal::trace
