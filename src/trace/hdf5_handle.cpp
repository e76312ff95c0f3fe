#include "trace/hdf5_handle.hpp"

namespace shoal::trace::hdf5 {
namespace {

herr_t take_innermost(unsigned depth, const H5E_error2_t* error, void* out) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
  return 0;
}

}  // namespace

std::string last_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &reason);
  constexpr std::string_view mark = "error message = '";
  if (const auto at = reason.find(mark); at != std::string::npos) {
    const auto begin = at + mark.size();
    return reason.substr(begin, reason.find('\'', begin) - begin);
  }
  return reason.empty() ? "HDF5 gives no reason" : "HDF5: " + reason;
}

Datatype string_type(std::size_t size) {
  Datatype type(H5Tcopy(H5T_C_S1));
  check(H5Tset_size(type.get(), size));
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8));
  if (size != H5T_VARIABLE) check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD));
  return type;
}

}  // namespace shoal::trace::hdf5
