// A libcuda.so.1 that shows two GPUs and can do nothing else: what a node with a broken or unfitting driver looks like.
// SHOAL_FAKE_GPUS sets how many, SHOAL_FAKE_CAPABILITY their compute capability's first digit.
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace {

int number(const char* variable, int otherwise) {
  const char* value = std::getenv(variable);
  return value == nullptr ? otherwise : std::atoi(value);
}

}  // namespace

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDeviceGetCount(int* count) {
  *count = number("SHOAL_FAKE_GPUS", 2);
  return 0;
}
int cuDeviceGet(int* device, int index) {
  *device = index;
  return 0;
}
int cuDeviceGetName(char* name, int size, int) {
  std::strncpy(name, "Imaginary H200", static_cast<std::size_t>(size));
  return 0;
}
int cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  std::memset(uuid, device + 1, 16);
  return 0;
}
int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = std::size_t{141} << 30U;
  return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  constexpr int capability_major = 75;
  *value = attribute == capability_major ? number("SHOAL_FAKE_CAPABILITY", 9) : 0;
  return 0;
}
}
