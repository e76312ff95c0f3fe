// MappedFile: a file read through the page cache, so that the ranks of a node share one copy.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace shoal::lm {

class MappedFile {
 public:
  /// @throws ModelError if the file cannot be read
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace shoal::lm
