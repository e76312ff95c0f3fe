// Fuzz target: a safetensors file as it is, and a header, a zero byte and the data behind it.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "fuzz_folder.hpp"
#include "lm/safetensors.hpp"
#include "shoal/error.hpp"

namespace {

using shoal::lm::Safetensors;

void try_out(const std::string& file) {
  static const shoal::lm::FuzzFolder folder;
  folder.write("model.safetensors", file);
  try {
    const Safetensors tensors(folder.path());
    (void)tensors.fingerprint();
    for (const auto& [name, tensor] : tensors.all()) {
      shoal::lm::require(tensors.get(name, tensor.shape).bytes.size() <= file.size());
      (void)tensor.read_all();
    }
    (void)tensors.get("no such tensor", {});
  } catch (const shoal::ModelError& error) {
    shoal::lm::require_clear(error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  try_out(input);
  const std::size_t zero = std::min(input.find('\0'), size);
  const std::uint64_t header_size = zero;
  std::string file(sizeof header_size, '\0');
  std::memcpy(file.data(), &header_size, sizeof header_size);
  try_out(file + input.substr(0, zero) + input.substr(std::min(zero + 1, size)));
  return 0;
}
