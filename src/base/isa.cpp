#include "base/isa.hpp"

#include <atomic>

#include "shoal/error.hpp"

namespace shoal {
namespace {

Isa detect() {
#ifdef __x86_64__
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return Isa::avx2;
  if (!__builtin_cpu_supports("avx512vnni")) return Isa::avx512;
  return __builtin_cpu_supports("avx512bf16") ? Isa::avx512_bf16 : Isa::avx512_vnni;
#else
  return Isa::baseline;
#endif
}

std::atomic<Isa>& used() {
  static std::atomic<Isa> isa{processor_isa()};
  return isa;
}

}  // namespace

std::string name_of(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_vnni:
      return "avx512_vnni";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    default:
      return "baseline";
  }
}

Isa processor_isa() {
  static const Isa best = detect();
  return best;
}

Isa used_isa() { return used().load(std::memory_order_relaxed); }

void force_isa(Isa isa) {
  if (isa > processor_isa())
    throw UsageError("--isa " + name_of(isa) + " cannot be used (this processor lacks it) use at most " +
                     name_of(processor_isa()));
  used() = isa;
}

}  // namespace shoal
