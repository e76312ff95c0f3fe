// A checkpoint folder to spoil, and what the loader says of it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "fixtures.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {

/// A copy of a fixture in a folder of its own, removed at the end.
class BadFolder {
 public:
  explicit BadFolder(const std::string& name) {
    const std::string pattern = (std::filesystem::path(testing::TempDir()) / "shoal_checkpoint_XXXXXX").string();
    std::string made = pattern;
    if (::mkdtemp(made.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
    path_ = made;
    std::filesystem::copy(fixture(name), path_);
    std::filesystem::remove(path_ / "generation_config.json");
  }
  ~BadFolder() { std::filesystem::remove_all(path_); }
  BadFolder(const BadFolder&) = delete;
  BadFolder& operator=(const BadFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string read(const std::string& file) const {
    std::ifstream in(path_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(path_ / file, std::ios::binary) << text;
  }

 private:
  std::filesystem::path path_;
};

inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ModelError& error) {
    const std::string line = error.what();
    EXPECT_EQ(line.find('\n'), std::string::npos) << "more than one line: " << line;
    EXPECT_LT(line.size(), 700U) << line;
    return line;
  }
  return "accepted";
}

}  // namespace shoal::lm
