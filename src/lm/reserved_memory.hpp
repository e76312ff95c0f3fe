// ReservedMemory: a range of addresses whose pages a thread of its own has the system provide shortly before they are
// used, so that those who use them do not wait for page faults. What is never used takes no memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace shoal::lm {

class ReservedMemory {
 public:
  /// @throws std::bad_alloc where the system has no such range to give, or does not overcommit and has no memory
  explicit ReservedMemory(std::size_t bytes);
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;
  ~ReservedMemory();

  /// Begins on a huge page; zeroed.
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Asks for the pages of the first @p bytes, and returns at once.
  void populate(std::size_t bytes);
  /// Bytes whose pages are there, from the first on.
  [[nodiscard]] std::size_t populated() const { return populated_; }

 private:
  void provide_pages();

  std::size_t size_;
  std::byte* mapping_;  ///< a little longer
  std::byte* data_;
  std::atomic<std::size_t> wanted_ = 0;  ///< all ones: no more
  std::atomic<std::size_t> populated_ = 0;
  std::thread thread_;
};

}  // namespace shoal::lm
