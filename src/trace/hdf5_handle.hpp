// RAII for HDF5 identifiers, and its error stack as exceptions. Internal to src/trace: no public header includes it.
#pragma once

#include <hdf5.h>

#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace shoal::trace::hdf5 {

/// The reason HDF5 gives: the system's message if there is one, else the innermost entry of the error stack.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reason of the last failed call on this thread.
std::string last_reason();

/// @throws Failure if @p status is negative, as every HDF5 call that fails returns
template <class Status>
Status check(Status status) {
  if (status < 0) throw Failure(last_reason());
  return status;
}

/// HDF5 prints nothing while one of these lives.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &printer_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() {
    if (!stay_) H5Eset_auto2(H5E_DEFAULT, printer_, data_);
  }
  /// For the rest of the process: of a damaged file HDF5 keeps parts open, and complains about them as it ends.
  void stay() { stay_ = true; }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t printer_ = nullptr;
  void* data_ = nullptr;
  bool stay_ = false;
};

/// Owns one identifier. Closing in the destructor ignores failures; close() reports them.
template <herr_t (*close_id)(hid_t)>
class Handle {
 public:
  Handle() = default;
  /// @throws Failure if @p id is negative
  explicit Handle(hid_t id) : id_(check(id)) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, none)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_id(id_);
  }
  void close() {
    if (id_ >= 0) check(close_id(std::exchange(id_, none)));
  }
  [[nodiscard]] hid_t get() const { return id_; }

 private:
  static constexpr hid_t none = -1;
  hid_t id_ = none;
};

using File = Handle<H5Fclose>;
using Group = Handle<H5Gclose>;
using Dataset = Handle<H5Dclose>;
using Dataspace = Handle<H5Sclose>;
using Datatype = Handle<H5Tclose>;
using Attribute = Handle<H5Aclose>;
using Properties = Handle<H5Pclose>;

/// In memory. bool is stored as one byte.
template <class T>
hid_t memory_type() {
  if constexpr (std::same_as<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::same_as<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::same_as<T, std::uint64_t>) return H5T_NATIVE_UINT64;
  if constexpr (std::same_as<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::same_as<T, std::uint32_t>) return H5T_NATIVE_UINT32;
  if constexpr (std::same_as<T, std::uint8_t> || std::same_as<T, bool>) return H5T_NATIVE_UINT8;
}

/// In the file, whatever the processor.
template <class T>
hid_t file_type() {
  if constexpr (std::same_as<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::same_as<T, std::int64_t>) return H5T_STD_I64LE;
  if constexpr (std::same_as<T, std::uint64_t>) return H5T_STD_U64LE;
  if constexpr (std::same_as<T, std::int32_t>) return H5T_STD_I32LE;
  if constexpr (std::same_as<T, std::uint32_t>) return H5T_STD_U32LE;
  if constexpr (std::same_as<T, std::uint8_t> || std::same_as<T, bool>) return H5T_STD_U8LE;
}

/// UTF-8, padded with zeros; @p size may be H5T_VARIABLE.
Datatype string_type(std::size_t size);

}  // namespace shoal::trace::hdf5
