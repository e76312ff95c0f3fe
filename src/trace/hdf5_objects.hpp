// HDF5 objects that traces and checkpoints both consist of. Internal to src/trace.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trace/hdf5_handle.hpp"

namespace shoal::trace {

inline hdf5::Dataspace simple_space(const std::vector<hsize_t>& shape) {
  return hdf5::Dataspace(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
}

template <class T>
void write_attribute(hid_t object, const char* name, T value) {
  const hdf5::Dataspace space(H5Screate(H5S_SCALAR));
  const hdf5::Attribute attribute(
      H5Acreate2(object, name, hdf5::file_type<T>(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  hdf5::check(H5Awrite(attribute.get(), hdf5::memory_type<T>(), &value));
}

/// A text of fixed length, which HDF5 keeps under its checksums.
void write_fixed_text_attribute(hid_t object, const char* name, std::string_view text);

template <class T>
hdf5::Dataset create_fixed(hid_t where, const char* name, const std::vector<T>& values) {
  const hdf5::Dataspace space = simple_space({values.size()});
  hdf5::Dataset dataset(
      H5Dcreate2(where, name, hdf5::file_type<T>(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  if (!values.empty())
    hdf5::check(H5Dwrite(dataset.get(), hdf5::memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
  return dataset;
}

inline hdf5::Group create_group(hid_t where, const char* name) {
  return hdf5::Group(H5Gcreate2(where, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

}  // namespace shoal::trace
