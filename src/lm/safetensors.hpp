// Safetensors: the tensors of a checkpoint, memory-mapped, from model.safetensors or the shards that
// model.safetensors.index.json names. Everything a header claims is checked against the file before use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lm/mapped_file.hpp"

namespace shoal::lm {

enum class StorageType { f32, f16, bf16 };

/// A row-major tensor in a mapped file.
struct Tensor {
  std::string name;
  StorageType type = StorageType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  [[nodiscard]] std::size_t elements() const;
  /// Elements [begin, begin + out.size()) as floats.
  void read(std::size_t begin, std::span<float> out) const;
  [[nodiscard]] std::vector<float> read_all() const;
};

class Safetensors {
 public:
  /// @throws ModelError naming the file and what is wrong with it
  explicit Safetensors(const std::filesystem::path& folder);

  [[nodiscard]] bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// @throws ModelError if the checkpoint lacks it, or if its shape is another
  [[nodiscard]] const Tensor& get(const std::string& name, const std::vector<std::int64_t>& shape) const;
  [[nodiscard]] const std::map<std::string, Tensor>& all() const { return tensors_; }
  /// Of names, shapes and samples of the values.
  [[nodiscard]] std::uint64_t fingerprint() const;

 private:
  void add_file(const std::filesystem::path& file);

  std::filesystem::path folder_;
  std::vector<MappedFile> files_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace shoal::lm
