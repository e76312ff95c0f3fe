#include "lm/cuda/block_copies.hpp"

#include <algorithm>
#include <numeric>

#include "lm/cuda/launches.hpp"

namespace shoal::lm::cuda {

void BlockCopies::add(const std::byte* from, std::byte* to, std::size_t bytes) {
  if (written_.contains(from) || written_.contains(to) || read_.contains(to) || (bytes_ != bytes && !from_.empty()))
    flush();
  bytes_ = bytes;
  from_.push_back(from);
  to_.push_back(to);
  read_.insert(from);
  written_.insert(to);
}

void BlockCopies::flush() {
  if (from_.empty()) return;
  stream_.wait();  // the lists may still be on their way from the last time
  const std::size_t count = from_.size();
  from_list_.reserve(count);
  to_list_.reserve(count);
  std::copy(from_.begin(), from_.end(), from_list_.host(count).begin());
  std::copy(to_.begin(), to_.end(), to_list_.host(count).begin());
  from_list_.upload(count, stream_);
  to_list_.upload(count, stream_);
  launch(CopyTask{from_list_.device(), to_list_.device(), static_cast<std::int64_t>(bytes_)}, static_cast<int>(count),
         stream_.get());
  from_.clear();
  to_.clear();
  read_.clear();
  written_.clear();
}

Array<std::byte> SpareSlabs::take(std::size_t bytes) {
  const auto found =
      std::find_if(slabs_.begin(), slabs_.end(), [&](const auto& slab) { return slab.bytes() == bytes; });
  if (found == slabs_.end()) return Array<std::byte>(bytes);
  std::swap(*found, slabs_.back());
  Array<std::byte> slab = std::move(slabs_.back());
  slabs_.pop_back();
  return slab;
}

void SpareSlabs::keep(Array<std::byte> slab) { slabs_.push_back(std::move(slab)); }

std::size_t SpareSlabs::bytes() const {
  return std::accumulate(slabs_.begin(), slabs_.end(), std::size_t{0},
                         [](std::size_t sum, const auto& slab) { return sum + slab.bytes(); });
}

DeviceBlockMemory::~DeviceBlockMemory() {
  try {
    DeviceBlockMemory::settle();
    for (Array<std::byte>& slab : slabs_) spare_->keep(std::move(slab));
  } catch (const std::exception&) {
    return;  // the GPU has failed: the run's own calls say so
  }
}

std::byte* DeviceBlockMemory::allocate(std::size_t bytes) {
  check(cudaSetDevice(gpu_), "cudaSetDevice");
  slabs_.push_back(spare_->take(bytes));
  check(cudaMemsetAsync(slabs_.back().data(), 0, bytes, copies_->stream().get()), "cudaMemsetAsync");
  return slabs_.back().data();
}

void DeviceBlockMemory::read(const std::byte* from, std::span<std::byte> host) const {
  check(cudaSetDevice(gpu_), "cudaSetDevice");
  copies_->flush();
  copy_to_host(from, host, copies_->stream());
  copies_->stream().wait();
}

void DeviceBlockMemory::write(std::span<const std::byte> host, std::byte* to) {
  check(cudaSetDevice(gpu_), "cudaSetDevice");
  copies_->flush();
  copy_to_device(host, to, copies_->stream());
  copies_->stream().wait();
}

void DeviceBlockMemory::settle() {
  check(cudaSetDevice(gpu_), "cudaSetDevice");
  copies_->flush();
  copies_->stream().wait();
}

}  // namespace shoal::lm::cuda
