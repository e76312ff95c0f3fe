#include "lm/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <optional>
#include <set>

#include "lm/fingerprint.hpp"
#include "lm/json_file.hpp"
#include "lm/number_formats.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t max_header = 100'000'000;  // the format's own limit

[[noreturn]] void corrupt(const fs::path& file, const std::string& why) {
  throw ModelError("cannot read " + file.string() + " (" + why + ") download the checkpoint again");
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::size_t bytes_of(StorageType type) { return type == StorageType::f32 ? 4 : 2; }

std::optional<StorageType> storage_type(const std::string& name) {
  if (name == "F32") return StorageType::f32;
  if (name == "F16") return StorageType::f16;
  if (name == "BF16") return StorageType::bf16;
  return std::nullopt;
}

json parse_header(const fs::path& file, std::span<const std::byte> bytes) {
  std::uint64_t size = 0;
  if (bytes.size() < sizeof size) corrupt(file, "too short for a safetensors file");
  std::memcpy(&size, bytes.data(), sizeof size);
  if (size > max_header || size > bytes.size() - sizeof size)
    corrupt(file, "truncated, or not a safetensors file: the header says " + std::to_string(size) + " bytes");
  try {
    return json::parse(std::string_view(reinterpret_cast<const char*>(bytes.data()) + sizeof size, size));
  } catch (const json::exception&) {
    corrupt(file, "the header is not JSON");
  }
}

/// A tensor of an integer or 8-bit type is no error until someone asks for it.
std::optional<Tensor> parse_tensor(const fs::path& file, const std::string& name, const json& entry,
                                   std::span<const std::byte> data) {
  const auto type = storage_type(entry.at("dtype").get<std::string>());
  const auto offsets = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
  if (offsets.size() != 2 || offsets[0] > offsets[1]) corrupt(file, "tensor " + name + " has bad offsets");
  if (offsets[1] > data.size())
    corrupt(file, "truncated: tensor " + name + " ends at byte " + std::to_string(offsets[1]) + " of " +
                      std::to_string(data.size()));
  if (!type) return std::nullopt;
  Tensor tensor{name, *type, entry.at("shape").get<std::vector<std::int64_t>>(),
                data.subspan(offsets[0], offsets[1] - offsets[0])};
  std::size_t elements = 1;
  for (const std::int64_t n : tensor.shape)
    if (n < 0 || __builtin_mul_overflow(elements, static_cast<std::size_t>(n), &elements))
      corrupt(file, "tensor " + name + " has a bad shape " + shape_text(tensor.shape));
  if (elements > data.size() || elements * bytes_of(*type) != tensor.bytes.size())
    corrupt(file, "tensor " + name + " of shape " + shape_text(tensor.shape) + " has " +
                      std::to_string(tensor.bytes.size()) + " bytes");
  return tensor;
}

std::set<std::string> shard_names(const fs::path& index) {
  const json parsed = read_json_file(index);
  std::set<std::string> names;
  try {
    for (const auto& [tensor, file] : parsed.at("weight_map").items()) names.insert(file.get<std::string>());
  } catch (const json::exception&) {
    corrupt(index, "no weight_map of file names");
  }
  for (const std::string& name : names)
    if (fs::path(name).filename() != name) corrupt(index, "shard '" + name + "' is not a plain file name");
  return names;
}

}  // namespace

std::size_t Tensor::elements() const { return bytes.size() / bytes_of(type); }

void Tensor::read(std::size_t begin, std::span<float> out) const {
  const std::byte* at = bytes.data() + begin * bytes_of(type);
  if (type == StorageType::f32) {
    std::memcpy(out.data(), at, out.size_bytes());
    return;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, at + 2 * i, sizeof bits);
    out[i] = type == StorageType::bf16 ? Bf16{bits}.to_float() : half_to_float(bits);
  }
}

std::vector<float> Tensor::read_all() const {
  std::vector<float> values(elements());
  read(0, values);
  return values;
}

Safetensors::Safetensors(const fs::path& folder) : folder_(folder) {
  const fs::path single = folder / "model.safetensors";
  const fs::path index = folder / "model.safetensors.index.json";
  if (fs::exists(single)) {
    add_file(single);
  } else if (fs::exists(index)) {
    for (const std::string& name : shard_names(index)) {
      if (!fs::exists(folder / name))
        throw ModelError("shard " + name + " is missing (named by " + index.string() + ") download the checkpoint again");
      add_file(folder / name);
    }
  } else {
    throw ModelError("no weights in " + folder.string() +
                     " (neither model.safetensors nor model.safetensors.index.json) convert the checkpoint to "
                     "safetensors");
  }
}

void Safetensors::add_file(const fs::path& file) {
  files_.emplace_back(file);
  const auto bytes = files_.back().bytes();
  const json header = parse_header(file, bytes);
  if (!header.is_object()) corrupt(file, "the header is not a JSON object");
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  const auto data = bytes.subspan(sizeof size + size);
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      if (auto tensor = parse_tensor(file, name, entry, data)) tensors_.insert_or_assign(name, std::move(*tensor));
    } catch (const json::exception&) {
      corrupt(file, "tensor " + name + " lacks dtype, shape or data_offsets");
    }
  }
}

const Tensor& Safetensors::get(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end())
    throw ModelError("tensor " + name + " is missing in " + folder_.string() +
                     " (or of a type other than F32, F16, BF16) download the checkpoint again");
  if (found->second.shape != shape)
    throw ModelError("tensor " + name + " in " + folder_.string() + " has shape " + shape_text(found->second.shape) +
                     " (config.json asks for " + shape_text(shape) + ") use the config.json of these weights");
  return found->second;
}

std::uint64_t Safetensors::fingerprint() const {
  constexpr std::size_t samples = 64, sample_bytes = 64;
  Fnv1a hash;
  for (const auto& [name, tensor] : tensors_) {
    hash.add(name);
    for (const std::int64_t n : tensor.shape) hash.add(static_cast<std::uint64_t>(n));
    const std::size_t step = std::max(sample_bytes, tensor.bytes.size() / samples);
    for (std::size_t at = 0; at < tensor.bytes.size(); at += step)
      hash.add(tensor.bytes.subspan(at, std::min(sample_bytes, tensor.bytes.size() - at)));
  }
  return hash.value();
}

std::string to_hex(std::uint64_t value) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 0; i < 16; ++i) text[15 - i] = digits[value >> (4 * i) & 0xFU];
  return text;
}

}  // namespace shoal::lm
