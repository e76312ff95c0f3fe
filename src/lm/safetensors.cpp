#include "lm/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
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

/// The tensors' ranges of a file's data, which they must tile, as the format asks.
using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

void check_tiling(const fs::path& file, Ranges ranges, std::uint64_t size) {
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t end = 0;
  for (const auto& [begin, next] : ranges) {
    if (begin != end)
      corrupt(file, "its tensors " + std::string(begin < end ? "overlap" : "leave a gap") + " at byte " +
                        std::to_string(begin));
    end = next;
  }
  if (end != size) corrupt(file, "bytes are left over behind the last tensor");
}

/// @throws json::exception if @p value is anything but a list of integers from 0 on
std::vector<std::uint64_t> sizes(const json& value) {
  std::vector<std::uint64_t> all;
  for (const json& one : value.get_ref<const json::array_t&>()) all.push_back(one.get_ref<const std::uint64_t&>());
  return all;
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
                                   std::span<const std::byte> data, Ranges* ranges) {
  const auto type = storage_type(entry.at("dtype").get<std::string>());
  const auto offsets = sizes(entry.at("data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) corrupt(file, "tensor " + shown(name) + " has bad offsets");
  if (offsets[1] > data.size())
    corrupt(file, "truncated: tensor " + shown(name) + " ends at byte " + std::to_string(offsets[1]) + " of " +
                      std::to_string(data.size()));
  ranges->emplace_back(offsets[0], offsets[1]);
  const auto shape = sizes(entry.at("shape"));
  if (!type) return std::nullopt;
  Tensor tensor{name, *type, {shape.begin(), shape.end()}, data.subspan(offsets[0], offsets[1] - offsets[0])};
  std::uint64_t size = bytes_of(*type);
  for (const std::uint64_t n : shape)
    if (__builtin_mul_overflow(size, n, &size)) size = std::numeric_limits<std::uint64_t>::max();
  if (size != tensor.bytes.size())
    corrupt(file, "tensor " + shown(name) + " of shape " + shape_text(tensor.shape) + " has " +
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
    if (name.empty() || fs::path(name).filename() != name || name == "." || name == "..")
      corrupt(index, "shard " + shown(name) + " is not a plain file name");
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
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    add_file(single);
  } else if (fs::exists(index, ignored)) {
    for (const std::string& name : shard_names(index)) {
      if (!fs::exists(folder / name, ignored))
        throw ModelError("shard " + shown(name) + " is missing (named by " + index.string() +
                         ") download the checkpoint again");
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
  Ranges ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      auto tensor = parse_tensor(file, name, entry, data, &ranges);
      if (tensor && !tensors_.emplace(name, std::move(*tensor)).second)
        corrupt(file, "tensor " + shown(name) + " is in another file too");
    } catch (const json::exception&) {
      corrupt(file, "tensor " + shown(name) + " has no proper dtype, shape or data_offsets");
    }
  }
  check_tiling(file, std::move(ranges), data.size());
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
