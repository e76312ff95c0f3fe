// What the fuzz targets of checkpoint files share: a folder in memory that files are written to, again and again.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace shoal::lm {

inline void require(bool condition) {
  if (!condition) std::abort();
}

class FuzzFolder {
 public:
  FuzzFolder() {
    const bool in_memory = std::filesystem::is_directory("/dev/shm");
    path_ = std::string(in_memory ? "/dev/shm" : "/tmp") + "/shoal-fuzz-XXXXXX";
    require(mkdtemp(path_.data()) != nullptr);
  }
  ~FuzzFolder() { std::filesystem::remove_all(path_); }
  FuzzFolder(const FuzzFolder&) = delete;
  FuzzFolder& operator=(const FuzzFolder&) = delete;

  void write(const std::string& file, std::string_view content) const {
    std::ofstream out(path() / file, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  [[nodiscard]] std::filesystem::path path() const { return path_; }

 private:
  std::string path_;
};

/// An error for the user: one line of bearable length.
inline void require_clear(const std::string& line) {
  require(!line.empty() && line.size() < 1000 && line.find('\n') == std::string::npos);
}

}  // namespace shoal::lm
