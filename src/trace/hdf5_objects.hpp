// HDF5 objects that traces, checkpoints and tables consist of. Internal to src/trace.
#pragma once

#include <hdf5_hl.h>

#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/column.hpp"
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

/// A text of variable length, which h5py gives back as str.
void write_text_attribute(hid_t object, const char* name, const std::string& text);

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

/// Says so in attributes.
void describe(hid_t dataset, const Column& column);

/// Dimension: what it is called, and the scale that gives its coordinates.
struct Dimension {
  const char* label;
  hid_t scale;
};
void attach(hid_t dataset, std::span<const Dimension> dimensions);

/// Bytes of a chunk at most.
inline constexpr hsize_t max_chunk_bytes = hsize_t{1} << 20;
/// Creation properties of a dataset compressed in such chunks.
hdf5::Properties deflated(const std::vector<hsize_t>& chunk);

/// Texts padded with zeros to the longest one; the padding is compressed away.
hdf5::Dataset create_texts(hid_t where, const char* name, const std::vector<std::string>& texts);

/// A dimension scale 0, 1, ..., @p count - 1.
template <class T>
hdf5::Dataset create_scale(hid_t where, const char* name, T count, const char* meaning) {
  std::vector<T> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), T{0});
  hdf5::Dataset scale = create_fixed(where, name, values);
  describe(scale.get(), {name, "1", meaning});
  hdf5::check(H5DSset_scale(scale.get(), name));
  return scale;
}

inline hdf5::Group create_group(hid_t where, const char* name) {
  return hdf5::Group(H5Gcreate2(where, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

}  // namespace shoal::trace
