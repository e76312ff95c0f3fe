// Opening trace files and telling whose they are. Internal to src/trace.
#pragma once

#include <string>

#include "trace/hdf5_handle.hpp"

namespace shoal::trace {

/// Opens for reading; a file that a run still writes, or whose writer was killed, as a SWMR reader.
/// @throws hdf5::Failure
hdf5::File open_for_reading(const std::string& path);

/// The scalar string of fixed length in attribute @p name of @p object. @throws hdf5::Failure
std::string read_text_attribute(hid_t object, const char* name);

/// Whether @p path opens as an HDF5 file that says it is a Shoal trace, of any version.
bool is_trace(const std::string& path);

}  // namespace shoal::trace
