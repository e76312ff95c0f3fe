#include "trace/hdf5_objects.hpp"

#include <algorithm>

namespace shoal::trace {
namespace {

constexpr unsigned deflate_level = 1;

}  // namespace

void write_fixed_text_attribute(hid_t object, const char* name, std::string_view text) {
  const std::string data(text.empty() ? std::string(1, '\0') : std::string(text));
  const hdf5::Datatype type = hdf5::string_type(data.size());
  const hdf5::Dataspace space(H5Screate(H5S_SCALAR));
  const hdf5::Attribute attribute(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  hdf5::check(H5Awrite(attribute.get(), type.get(), data.data()));
}

void write_text_attribute(hid_t object, const char* name, const std::string& text) {
  const hdf5::Datatype type = hdf5::string_type(H5T_VARIABLE);
  const hdf5::Dataspace space(H5Screate(H5S_SCALAR));
  const hdf5::Attribute attribute(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  const char* data = text.c_str();
  hdf5::check(H5Awrite(attribute.get(), type.get(), &data));
}

void describe(hid_t dataset, const Column& column) {
  write_text_attribute(dataset, "units", column.units);
  write_text_attribute(dataset, "long_name", column.meaning);
}

hdf5::Properties deflated(const std::vector<hsize_t>& chunk) {
  hdf5::Properties creation(H5Pcreate(H5P_DATASET_CREATE));
  hdf5::check(H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()));
  hdf5::check(H5Pset_shuffle(creation.get()));
  hdf5::check(H5Pset_deflate(creation.get(), deflate_level));
  return creation;
}

void attach(hid_t dataset, std::span<const Dimension> dimensions) {
  for (unsigned i = 0; i < dimensions.size(); ++i) {
    hdf5::check(H5DSattach_scale(dataset, dimensions[i].scale, i));
    hdf5::check(H5DSset_label(dataset, i, dimensions[i].label));
  }
}

hdf5::Dataset create_texts(hid_t where, const char* name, const std::vector<std::string>& texts) {
  std::size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  std::string data(width * texts.size(), '\0');
  for (std::size_t i = 0; i < texts.size(); ++i) texts[i].copy(data.data() + i * width, width);
  const hdf5::Datatype type = hdf5::string_type(width);
  const hdf5::Dataspace space = simple_space({texts.size()});
  const hdf5::Properties creation = texts.empty()
                                        ? hdf5::Properties(H5Pcreate(H5P_DATASET_CREATE))
                                        : deflated({std::clamp<hsize_t>(max_chunk_bytes / width, 1, texts.size())});
  hdf5::Dataset dataset(H5Dcreate2(where, name, type.get(), space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT));
  if (!texts.empty()) hdf5::check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()));
  return dataset;
}

}  // namespace shoal::trace
