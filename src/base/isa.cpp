#include "base/isa.hpp"

#ifdef SHOAL_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>

#include "shoal/error.hpp"

namespace shoal {
namespace {

/// Linux gives its tiles to a process that asks for them, which is done here. False where the processor has none, or
/// the system keeps them.
bool has_tiles() {
#ifdef SHOAL_AMX
  constexpr unsigned bf16 = 1U << 22U, tile = 1U << 24U, int8 = 1U << 25U, needed = bf16 | tile | int8;
  constexpr long request_permission = 0x1023, tile_data = 18;  // asm/prctl.h of kernels from 5.16 on
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & needed) == needed &&
         syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

Isa detect() {
#ifdef __x86_64__
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return Isa::avx2;
  if (!__builtin_cpu_supports("avx512vnni")) return Isa::avx512;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::avx512_vnni;
  return has_tiles() ? Isa::amx : Isa::avx512_bf16;
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
    case Isa::amx:
      return "amx";
    default:
      return "baseline";
  }
}

Isa isa_named(const std::string& name) {
  std::string names = "auto";
  for (const Isa isa : all_isas) {
    if (name == name_of(isa)) return isa;
    names += ", " + name_of(isa);
  }
  throw UsageError("bad --isa '" + name + "' (not known) choose one of " + names);
}

Isa processor_isa() {
  static const Isa best = detect();
  return best;
}

Isa used_isa() { return used().load(std::memory_order_relaxed); }

void force_isa(Isa isa) {
  if (isa > processor_isa())
    throw UsageError("--isa " + name_of(isa) +
                     " cannot be used (this processor lacks it, or the system keeps it) use at most " +
                     name_of(processor_isa()));
  used() = isa;
}

}  // namespace shoal
