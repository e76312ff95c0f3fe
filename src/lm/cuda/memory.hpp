// RAII for what CUDA hands out, and its error codes as exceptions. Internal to the plugin.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "shoal/error.hpp"

namespace shoal::lm::cuda {

inline std::string mebibytes(std::size_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

/// @throws Error with CUDA's own text if @p code is not success
inline void check(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  throw Error(ExitCode::internal, std::string("the GPU failed (") + call + ": " + cudaGetErrorString(code) +
                                      ") see the node's GPU log (dmesg, nvidia-smi), or use --device cpu");
}

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  [[nodiscard]] cudaStream_t get() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
};

enum class Place { device, pinned };

/// Elements on the GPU, or on the host where the GPU can reach them; not initialized.
template <class T, Place place = Place::device>
class Array {
 public:
  Array() = default;
  explicit Array(std::size_t size) : size_(size) {
    if (size == 0) return;
    void* at = nullptr;
    const cudaError_t code =
        place == Place::device ? cudaMalloc(&at, size * sizeof(T)) : cudaMallocHost(&at, size * sizeof(T));
    if (code == cudaErrorMemoryAllocation)
      throw Error(ExitCode::internal, std::string(place == Place::device ? "GPU" : "pinned") +
                                          " memory is exhausted (" + mebibytes(size * sizeof(T)) +
                                          " more are needed) use fewer particles or tokens a rank, or more GPUs");
    check(code, "cudaMalloc");
    data_ = static_cast<T*>(at);
  }
  Array(Array&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Array& operator=(Array other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Array() {
    if (data_ == nullptr) return;
    if (place == Place::device)
      cudaFree(data_);
    else
      cudaFreeHost(data_);
  }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return size_ * sizeof(T); }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

template <class T>
void copy_to_device(std::span<const T> from, T* to, const Stream& stream) {
  if (!from.empty())
    check(cudaMemcpyAsync(to, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream.get()), "cudaMemcpyAsync");
}
template <class T>
void copy_to_host(const T* from, std::span<T> to, const Stream& stream) {
  if (!to.empty())
    check(cudaMemcpyAsync(to.data(), from, to.size_bytes(), cudaMemcpyDeviceToHost, stream.get()), "cudaMemcpyAsync");
}

/// A list on the GPU that is written anew at every step, through pinned memory. What stands in it is not kept when it
/// grows.
template <class T>
class StepList {
 public:
  /// @return whether the address has changed
  bool reserve(std::size_t size) {
    if (size <= device_.size()) return false;
    const std::size_t room = std::max<std::size_t>(size + size / 2, 64);
    device_ = Array<T>(room);
    host_ = Array<T, Place::pinned>(room);
    return true;
  }
  [[nodiscard]] std::span<T> host(std::size_t size) const { return {host_.data(), size}; }
  void upload(std::size_t size, const Stream& stream) const {
    copy_to_device(std::span<const T>(host_.data(), size), device_.data(), stream);
  }
  [[nodiscard]] T* device() const { return device_.data(); }

 private:
  Array<T> device_;
  Array<T, Place::pinned> host_;
};

}  // namespace shoal::lm::cuda
