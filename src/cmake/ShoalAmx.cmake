# SHOAL_AMX: Intel's tile instructions can be assembled (binutils 2.35, LLVM 11 and later) and Linux asked for them.
include(CheckCXXSourceCompiles)
check_cxx_source_compiles([[
#include <cpuid.h>
#include <sys/syscall.h>
#ifndef __x86_64__
#error not x86-64
#endif
int main() {
  asm volatile("tdpbf16ps %tmm2, %tmm1, %tmm0");
  return SYS_arch_prctl == 0;
}]] SHOAL_AMX)
