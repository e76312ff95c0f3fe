#include "lm/cuda/gpus.hpp"

#include <dlfcn.h>

#include <array>

namespace shoal::lm {
namespace {

/// The functions of the driver's own interface that are needed; it is stable across versions.
class Driver {
 public:
  Driver() : library_(dlopen("libcuda.so.1", RTLD_NOW)) {
    find("cuInit", &init_);
    find("cuDeviceGetCount", &count_);
    find("cuDeviceGet", &device_);
    find("cuDeviceGetName", &name_);
    find("cuDeviceGetUuid_v2", &uuid_);
    find("cuDeviceTotalMem_v2", &memory_);
    find("cuDeviceGetAttribute", &attribute_);
  }

  [[nodiscard]] Gpus gpus() const {
    if (library_ == nullptr) return {{}, "no NVIDIA driver: libcuda.so.1 is not there"};
    if (!complete_) return {{}, "the NVIDIA driver is too old: it lacks functions of CUDA 11.4"};
    if (const int code = init_(0); code != 0) return {{}, explain(code)};
    int count = 0;
    if (const int code = count_(&count); code != 0) return {{}, explain(code)};
    if (count == 0) return {{}, "the NVIDIA driver shows no GPU"};
    Gpus found;
    for (int i = 0; i < count; ++i) found.all.push_back(describe(i));
    return found;
  }

 private:
  template <class Function>
  void find(const char* name, Function* function) {
    if (library_ != nullptr) *function = reinterpret_cast<Function>(dlsym(library_, name));
    complete_ = complete_ && *function != nullptr;
  }
  static std::string explain(int code) {
    constexpr int no_device = 100;
    return code == no_device ? "the NVIDIA driver shows no GPU"
                             : "the NVIDIA driver does not start: CUDA error " + std::to_string(code);
  }
  [[nodiscard]] Gpu describe(int index) const {
    constexpr int capability_major = 75, capability_minor = 76;
    int device = 0, major = 0, minor = 0;
    std::size_t memory = 0;
    std::array<char, 256> name{};
    std::array<unsigned char, 16> uuid{};
    device_(&device, index);
    name_(name.data(), static_cast<int>(name.size()) - 1, device);
    uuid_(uuid.data(), device);
    memory_(&memory, device);
    attribute_(&major, capability_major, device);
    attribute_(&minor, capability_minor, device);
    std::string hex;
    for (const unsigned char byte : uuid) hex += {"0123456789abcdef"[byte >> 4U], "0123456789abcdef"[byte & 15U]};
    return {name.data(), hex, memory, 10 * major + minor};
  }

  void* library_;
  bool complete_ = true;
  int (*init_)(unsigned flags) = nullptr;
  int (*count_)(int* count) = nullptr;
  int (*device_)(int* device, int index) = nullptr;
  int (*name_)(char* name, int size, int device) = nullptr;
  int (*uuid_)(unsigned char* uuid, int device) = nullptr;
  int (*memory_)(std::size_t* bytes, int device) = nullptr;
  int (*attribute_)(int* value, int attribute, int device) = nullptr;
};

}  // namespace

const Gpus& find_gpus() {
  static const Gpus gpus = Driver().gpus();
  return gpus;
}

}  // namespace shoal::lm
